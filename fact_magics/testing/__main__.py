"""The command line: ``python -m fact_magics.testing --script FILE.json``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a script until interrupted; the first line printed is the URL."""
    parser = argparse.ArgumentParser(prog="python -m fact_magics.testing", description=ModelServer.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--script", type=Path, metavar="FILE", help="a JSON list of steps for ModelServer.play"
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, lets the system choose a port")
    options = parser.parse_args(arguments)
    try:
        script = json.loads(options.script.read_text("utf-8")) if options.script else []
        server = ModelServer(script, port=options.port)
    except (OSError, ValueError, TypeError) as error:
        parser.error(str(error))
    for number in (signal.SIGINT, signal.SIGTERM):
        # A handler that sets an event could wait for ever for the lock of the event that it interrupts.
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), ExitStack() as running:
        try:
            running.enter_context(server)
        except (OSError, OverflowError) as error:
            parser.error(f"port {options.port} can't be used: {error}")
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

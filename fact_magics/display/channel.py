"""The connection between a live view in the kernel and its code in the browser.

It uses the protocol of Jupyter's widgets and the front end of anywidget, if anywidget is installed.
anywidget's Python half is not needed, since a view has no traits and no layout. The connection is closed when
its cell ends. Neither the kernel nor the notebook keeps any state of the widget.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PROTOCOL = "2.1.0"
_MIME = "application/vnd.jupyter.widget-view+json"
# Closing a model before the browser has loaded its code leaves an error in the browser's console; anywidget
# 0.11 waits two seconds for the code.
_LOADING_SECONDS = 2.5
# The end of jupyter_client's message ids; the message ids of browsers are bare UUIDs.
_PYTHON_CLIENT = re.compile(r"_\d+_\d+\Z")


class Channel:
    """A widget model in the front end, whose state consists of JSON values.

    `on_message` receives the content of each custom message, on the thread that handles messages.
    """

    def __init__(self, state: Mapping[str, Any], on_message: Callable[[object], None]) -> None:
        from comm import create_comm

        self._state: dict[str, Any] = {**_module(), **state}
        self._on_message = on_message
        data = {"state": self._state, "buffer_paths": []}
        self._opened = time.monotonic()
        self._comm = create_comm(target_name="jupyter.widget", data=data, metadata={"version": _PROTOCOL})
        # The default handler would trigger the shell's pre_execute and post_execute in the middle of a cell.
        self._comm.handle_msg = self._handle  # type: ignore[method-assign,assignment]

    def bundle(self, plain: str) -> dict[str, Any]:
        """Build the MIME bundle to display; front ends without widgets show `plain`."""
        view = {"version_major": 2, "version_minor": 1, "model_id": self._comm.comm_id}
        return {_MIME: view, "text/plain": plain}

    def send(self, changes: Mapping[str, Any]) -> None:
        """Send changes of the state; a page that is loaded later receives the whole state."""
        self._state.update(changes)
        self._comm.send({"method": "update", "state": dict(changes), "buffer_paths": []})

    def close(self, *, loaded: bool = False) -> None:
        """Close the model, after a moment if the browser may not have `loaded` its code yet."""
        wait = _LOADING_SECONDS - (time.monotonic() - self._opened)
        try:
            loop = asyncio.get_running_loop()  # the kernel's loop, which runs cells
        except RuntimeError:
            wait = 0
        if loaded or wait <= 0:
            self._comm.close()
        else:
            loop.call_later(wait, self._comm.close)

    def _handle(self, message: Mapping[str, Any]) -> None:
        data = message["content"]["data"]
        if data.get("method") == "request_state":  # the page was reloaded
            self._comm.send({"method": "update", "state": self._state, "buffer_paths": []})
        elif data.get("method") == "custom":
            self._on_message(data.get("content"))


def widgets_may_show(shell: Any) -> bool:
    """Whether the running cell came from a browser and anywidget is installed.

    Python clients (nbclient, nbconvert, papermill, the console) get no widgets: they don't show them, and
    nbclient would save their state in the notebook.
    """
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    request = str(parent.get("header", {}).get("msg_id", ""))
    if not request or _PYTHON_CLIENT.search(request) or "google.colab" in sys.modules:
        return False
    return _front_end_version() is not None


def clicks_arrive() -> bool:
    """Whether the kernel handles messages from the browser while it awaits a cell, as ipykernel 7 does."""
    ipykernel = sys.modules.get("ipykernel")
    return ipykernel is not None and ipykernel.version_info >= (7,)


@cache
def _front_end_version() -> str | None:
    try:
        major, minor = version("anywidget").split(".")[:2]
    except (PackageNotFoundError, ValueError):
        return None
    return f"~{major}.{minor}.*"


@cache
def _module() -> Mapping[str, str]:
    """Return the part of the state that names the classes, the code and the style of the front end."""
    here = Path(__file__).parent
    version_range = str(_front_end_version())
    return {
        "_model_module": "anywidget",
        "_model_name": "AnyModel",
        "_model_module_version": version_range,
        "_view_module": "anywidget",
        "_view_name": "AnyView",
        "_view_module_version": version_range,
        "_anywidget_id": "fact-magics-live",
        "_esm": (here / "live.js").read_text("utf-8"),
        "_css": (here / "live.css").read_text("utf-8"),
    }

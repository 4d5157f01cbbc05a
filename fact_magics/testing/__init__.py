r"""A model server on this machine, for tests and offline work. Real SDKs can talk to it.

    with ModelServer() as server:
        server.writes("def double(n: int) -> int:\n    return 2 * n\n")
        ...  # run a notebook, a kernel or a script with server.environment() in its environment
        assert "double" in server.requests[0].text

It speaks Anthropic's Messages API, OpenAI's chat completions and Ollama's chat API, streams at a given pace,
and simulates the failures of providers. From a shell: ``python -m fact_magics.testing --script FILE.json``.
"""

from fact_magics.attempt import Usage
from fact_magics.testing.accounting import Charge
from fact_magics.testing.request import Request
from fact_magics.testing.server import ModelServer
from fact_magics.testing.wires import Reply

__all__ = ["Charge", "ModelServer", "Reply", "Request", "Usage"]

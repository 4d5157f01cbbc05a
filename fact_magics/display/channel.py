"""The line to the front end's half of a live view, and whether there may be such a half at all.

The wire is that of Jupyter's widgets, and the front end is anywidget's, which JupyterLab loads from what
is installed. Its Python half is not needed: a view has no traits and no layout, and is closed when its cell
ends, so that neither kernel nor notebook keeps anything of it.
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
# A model that is closed before the browser has loaded its code leaves an error in the browser's console
# (anywidget 0.11 waits two seconds for it).
_LOADING_SECONDS = 2.5
# How jupyter_client numbers its messages; a browser's carry a bare UUID.
_PYTHON_CLIENT = re.compile(r"_\d+_\d+\Z")


class Channel:
    """Opens a view's model in the front end, and changes it.

    Parameters
    ----------
    state : mapping of str to object
        What the view starts with, as JSON carries it.
    on_message : callable
        Gets what the view sends; called in whichever thread the kernel handles messages in.
    """

    def __init__(self, state: Mapping[str, Any], on_message: Callable[[object], None]) -> None:
        from comm import create_comm

        self._state: dict[str, Any] = {**_module(), **state}
        self._on_message = on_message
        data = {"state": self._state, "buffer_paths": []}
        self._opened = time.monotonic()
        self._comm = create_comm(target_name="jupyter.widget", data=data, metadata={"version": _PROTOCOL})
        # Its own handler would tell the shell, in the middle of a cell, that one began and ended.
        self._comm.handle_msg = self._handle  # type: ignore[method-assign,assignment]

    def bundle(self, plain: str) -> dict[str, Any]:
        """Build what is displayed; `plain` is for front ends that have no widgets."""
        view = {"version_major": 2, "version_minor": 1, "model_id": self._comm.comm_id}
        return {_MIME: view, "text/plain": plain}

    def send(self, changes: Mapping[str, Any]) -> None:
        """Change the view's state; whoever looks later finds all of it."""
        self._state.update(changes)
        self._comm.send({"method": "update", "state": dict(changes), "buffer_paths": []})

    def close(self, *, loaded: bool = False) -> None:
        """End the view's model, in kernel and front end; a moment later if it may not have been `loaded`."""
        early = _LOADING_SECONDS - (time.monotonic() - self._opened)
        try:
            loop = asyncio.get_running_loop()  # the kernel's: it runs cells
        except RuntimeError:
            early = 0
        if loaded or early <= 0:
            self._comm.close()
        else:
            loop.call_later(early, self._comm.close)

    def _handle(self, message: Mapping[str, Any]) -> None:
        data = message["content"]["data"]
        if data.get("method") == "request_state":  # the page was loaded anew
            self._comm.send({"method": "update", "state": self._state, "buffer_paths": []})
        elif data.get("method") == "custom":
            self._on_message(data.get("content"))


def widgets_may_show(shell: Any) -> bool:
    """Tell whether the running cell came from a browser, and the front end's half of views is installed.

    Clients that are written in Python (nbclient, nbconvert, papermill, the console) have no widgets, and
    nbclient writes the state of every widget that was ever opened into the notebook.
    """
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    request = str(parent.get("header", {}).get("msg_id", ""))
    if not request or _PYTHON_CLIENT.search(request) or "google.colab" in sys.modules:
        return False
    return _front_end_version() is not None


def clicks_arrive() -> bool:
    """Tell whether the kernel may handle a click while it awaits a cell, as ipykernel does from 7 on."""
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
    """Name the classes that the front end makes, and give them the view's code and style."""
    here = Path(__file__).parent
    written = str(_front_end_version())
    return {
        "_model_module": "anywidget",
        "_model_name": "AnyModel",
        "_model_module_version": written,
        "_view_module": "anywidget",
        "_view_name": "AnyView",
        "_view_module_version": written,
        "_anywidget_id": "fact-magics-live",
        "_esm": (here / "live.js").read_text("utf-8"),
        "_css": (here / "live.css").read_text("utf-8"),
    }

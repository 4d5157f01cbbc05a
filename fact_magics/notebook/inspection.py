"""``tool?`` and ``tool??``: show a tool as IPython shows a function, not as an instance of `Tool`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.core.handle import Tool

    Section = tuple[str, str]

_KINDS = ("text/plain", "text/html")


class Inspection:
    """Adds the descriptions of tools to the inspector of one shell, until `remove`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._inspector: Any = shell.inspector
        before = getattr(self._inspector, "mime_hooks", None)
        if before is None:  # before IPython 8.22
            self._hooks: dict[str, Any] = {}
            return
        self._others = {kind: before[kind] for kind in _KINDS if kind in before}
        self._hooks = {kind: partial(self._describe, kind) for kind in _KINDS}
        self._inspector.mime_hooks = {**before, **self._hooks}

    def remove(self) -> None:
        """Remove the descriptions from the inspector."""
        if self._hooks:
            hooks = self._inspector.mime_hooks.items()
            kept = {kind: hook for kind, hook in hooks if hook is not self._hooks.get(kind)}
            self._inspector.mime_hooks = {**self._others, **kept}

    def _describe(self, kind: str, asked: Any) -> list[Section] | None:
        from fact_magics.text import inert

        # A tool can't exist before this module is imported, and `?` on other objects must not import it.
        handle = sys.modules.get("fact_magics.core.handle")
        if handle is None or not isinstance(asked.obj, handle.Tool):
            other = self._others.get(kind)
            return other(asked) if other is not None else None
        tool: Tool = asked.obj
        facts = f"{tool.version} · {'proven' if tool.metadata.proven else 'unproven'}"
        if tool.metadata.permissions:
            facts += f" · allowed: {', '.join(tool.metadata.permissions)}"
        sections = [("Signature", self._code(tool.text, kind)), ("Version", _text(inert(facts), kind))]
        if asked.detail_level:
            return [*sections, ("Source", self._code(inert(tool.source), kind))]
        return [*sections, ("Docstring", _text(tool.__doc__ or "", kind))]

    def _code(self, source: str, kind: str) -> str:
        if kind == "text/plain":
            return str(self._inspector.format(source))
        return _text(source, kind)


def _text(text: str, kind: str) -> str:
    from html import escape

    return text if kind == "text/plain" else f"<pre>{escape(text)}</pre>"

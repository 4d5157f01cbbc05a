"""What a new version of a tool replaces: say it, and refuse to lose a proven version by accident."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from fact_magics.errors import BindingRefused
from fact_magics.text import one_line

if TYPE_CHECKING:
    from fact_magics.tool import ToolSpec, ToolVersion

_LONGEST_PATH = 100


@dataclass(frozen=True, slots=True)
class Replacement:
    """The versions that a new version of a name replaces.

    Attributes
    ----------
    current : ToolVersion or None
        The version that new sessions would use.
    origin : str
        The notebook that made `current`, in words; empty if it is this notebook, or is not known.
    held : ToolVersion or None
        The version that this session uses.
    """

    current: ToolVersion | None
    origin: str
    held: ToolVersion | None

    def lines(self, tool_id: str) -> tuple[str, ...]:
        """Say what the version `tool_id` replaces, and how to undo it; empty if it replaces nothing."""
        current, held = self.current, self.held
        if held is not None and held.metadata.id in (tool_id, current and current.metadata.id):
            held = None
        if current is not None and current.metadata.id != tool_id:
            about = current.metadata
            used = f"; this session used {held.metadata.version}" if held is not None else ""
            undo = f"%fact rollback {about.name} {about.version}"
            return (f"replaces {about.version}{self.origin}, {about.proof}{used}; undo: {undo}",)
        if held is not None:
            about = held.metadata
            undo = f"; undo: %fact rollback {about.name} {about.version}" if current is not None else ""
            return (f"replaces {about.version} in this session, {about.proof}{undo}",)
        return ()

    def refuse_loss(self, spec: ToolSpec, hint: str) -> None:
        """Raise `BindingRefused` if a proven version would be replaced by one without examples."""
        if spec.examples or spec.replace:
            return
        for version, origin in ((self.current, self.origin), (self.held, "")):
            if version is not None and version.metadata.proven:
                about = version.metadata
                raise BindingRefused(
                    f"{version.reference}{origin} is {about.proof}; a version without examples does not "
                    "replace it.",
                    hint=hint,
                )


def refuse_unknown_loss(spec: ToolSpec, hint: str) -> None:
    """Raise `BindingRefused` if a version that can't be read would be replaced by one without examples."""
    if not (spec.examples or spec.replace):
        raise BindingRefused(
            f"The current version of {spec.name} can't be read, and may be proven; a version without "
            "examples does not replace it.",
            hint=hint,
        )


def origin_of(notebook: str, own: str) -> str:
    """Write `` of other.ipynb``, or an empty text if the notebook is unknown or is this session's `own`."""
    if not notebook or notebook == own:
        return ""
    name = PurePath(notebook).name
    return f" of {one_line(name if name != PurePath(own).name else notebook, _LONGEST_PATH)}"

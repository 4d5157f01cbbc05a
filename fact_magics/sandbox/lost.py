"""The one error that passes between the parts of the parent's side; it never leaves the sandbox."""

from __future__ import annotations


class ZygoteLostError(Exception):
    """A zygote could not be started, or came to an end before a call began."""

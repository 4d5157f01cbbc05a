"""Isolated runs: a tool can only affect its result, its output and its scratch directory.

Words of this package:

- A *zygote* is a warm process that forks a new process for each call. Its *warden* starts it, passes calls to
  it and ends it.
- A *frame* is the message in which the process of a call reports how the call ended.
- *Layers* are the mechanisms that isolate a run, such as Landlock and seccomp.
"""

from __future__ import annotations

from fact_magics.sandbox.limits import Limits
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.sandbox.policy import Grants
from fact_magics.sandbox.pool import Mode, Sandbox

__all__ = ["Call", "Grants", "Limits", "Mode", "Outcome", "Sandbox", "ToolError"]

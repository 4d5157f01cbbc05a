"""Mask the keys that tools are given, in the history, in what tools print, and in requests to models."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fact_magics.permissions.dangers import variable_doubt
from fact_magics.redaction import MASK, RedactedStream, is_unguessable, secrets_in_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fact_magics.redaction import Redactor
    from fact_magics.sandbox import Sandbox
    from fact_magics.sandbox.begun import Begun
    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call, Outcome
    from fact_magics.sandbox.pool import Mode
    from fact_magics.store import ExecutionRow

_TEXTS = ("input_data", "output_data", "error", "details", "printed")


class MaskedSandbox:
    """Runs calls in a sandbox, and masks the keys that their permissions grant in what comes back.

    Parameters
    ----------
    redactor : Redactor
        Registers each key that is granted, if it can't be guessed.
    results : bool
        Whether to mask results too. Proofs need this, because failures go back to the model.
    """

    def __init__(self, sandbox: Sandbox, redactor: Redactor, *, results: bool) -> None:
        self._sandbox = sandbox
        self._redactor = redactor
        self._masks_results = results
        self.check = sandbox.check
        self.begin = sandbox.begin  # without permissions, nothing is masked

    @property
    def settings(self) -> tuple[Mode, Limits]:
        """The sandbox's mode and limits."""
        return self._sandbox.settings

    async def run(
        self,
        call: Call,
        on_printed: Callable[[str], None] | None = None,
        on_turn: Callable[[], None] | None = None,
        begun: Begun | None = None,
    ) -> Outcome:
        """Run one call as `Sandbox.run` does."""
        redactor = _granted(call.permissions, self._redactor)
        if redactor is None:
            return await self._sandbox.run(call, on_printed, on_turn, begun)
        mask, stream = redactor.mask, RedactedStream(redactor)

        def feed(piece: str) -> None:
            if on_printed is not None and (known := stream.feed(piece)):
                on_printed(known)

        outcome = await self._sandbox.run(call, feed, on_turn, begun)
        if on_printed is not None and (known := stream.end()):
            on_printed(known)
        error, result = outcome.error, outcome.result
        if error is not None:
            error = replace(error, message=mask(error.message), traceback=mask(error.traceback))
        if result is not None and self._masks_results:
            text = str(result, "utf-8", "surrogateescape")
            if (masked := mask(text)) != text:
                result = _valid(masked).encode("utf-8", "surrogateescape")
        return replace(outcome, printed=mask(outcome.printed), error=error, result=result)


def masked_row(row: ExecutionRow, redactor: Redactor) -> ExecutionRow:
    """Mask the registered keys in a row, and those that its permissions grant.

    A tool that was granted a key may have encoded it, so all forms are searched for. Any other row can hold
    a key only if it was passed as an argument, and then unchanged, so a quick search is enough.
    """
    texts = {name: text for name in _TEXTS if (text := getattr(row, name))}
    granted = _granted(row.permissions, redactor)
    if granted is None and not any(map(redactor.holds, texts.values())):
        return row
    mask = (granted or redactor).mask
    changed: dict[str, Any] = {name: mask(text) for name, text in texts.items()}
    return replace(row, **changed)


def _granted(permissions: Iterable[str], redactor: Redactor) -> Redactor | None:
    """Return what masks the keys and passwords that permissions grant; None if they grant none.

    Values that nobody can guess are registered for the whole session. Others, such as ``postgres``, may be
    words of other texts, so they are masked only in this run.
    """
    names = [text.removeprefix("env:") for text in permissions if text.startswith("env:")]
    values = [value for name in names if variable_doubt(name) and (value := os.environ.get(name))]
    if not values:
        return None
    secrets = {secret for value in values for secret in (value, value.strip(), *secrets_in_url(value))}
    for secret in filter(is_unguessable, secrets):
        redactor.add(secret)
    return redactor.extended(secret for secret in secrets if not is_unguessable(secret))


def _valid(masked: str) -> str:
    """Return masked JSON. Where a number was masked it is not JSON any more; then return a masked text."""
    try:
        json.loads(masked)
    except ValueError:
        return json.dumps(MASK)
    return masked

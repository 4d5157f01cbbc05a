"""Read the time in ``--since``: ISO 8601, a duration before now, ``today`` or ``yesterday``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from fact_magics.errors import CellError
from fact_magics.text import utc_text

_SECONDS = {
    "s": 1, "sec": 1, "second": 1,
    "m": 60, "min": 60, "minute": 60,
    "h": 3600, "hr": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400,
    "w": 604_800, "week": 604_800,
}  # fmt: skip
_PART = r"\d+(?:\.\d+)?\s*[a-z]+"
_DURATION = re.compile(rf"{_PART}(?:[\s,]*{_PART})*(?:\s+ago)?", re.ASCII)
_PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)
_HINT = "Write a duration such as 2h, 90 min or 3 days, today, yesterday, or an ISO date such as 2026-11-22."


def read_since(since: str | datetime | timedelta, *, now: datetime | None = None) -> str:
    """Convert a time that a user wrote to UTC.

    Parameters
    ----------
    since : str, datetime or timedelta
        ``2h``, ``1h 30m``, ``3 days``, ``2 weeks ago``, ``today``, ``yesterday``, an ISO 8601 date or time.
        A duration counts back from `now`; a date means 00:00 of that day; a time without an offset is local.
    now : datetime, optional
        Must be an aware datetime. The default is the current time.

    Returns
    -------
    str
        The time in UTC, in the format of `fact_magics.text.utc_now`.

    Raises
    ------
    CellError
        The text has none of these forms, or the time is outside the range of `datetime`.
    """
    try:
        return utc_text(_moment(since, now or datetime.now(UTC)))
    except (ValueError, OverflowError, OSError):
        raise CellError(f"{str(since)[:80]!r} is not a time that --since can read.", hint=_HINT) from None


def age(text: str) -> timedelta:
    """Read how old something must be: ``90d``, ``2 weeks``, ``36h``.

    Raises
    ------
    ValueError
        The text is not a duration; the message completes the sentence "'x' …".
    """
    written = text.strip().lower()
    try:
        read = timedelta(seconds=_seconds(written)) if _DURATION.fullmatch(written) else None
        if read is not None and not written.endswith("ago"):
            datetime.now(UTC) - read
            return read
    except (ValueError, OverflowError):
        pass
    raise ValueError("is not a duration such as 90d, 12 weeks or 36h")


def _moment(since: str | datetime | timedelta, now: datetime) -> datetime:
    if isinstance(since, timedelta):
        return now - since
    if isinstance(since, datetime):
        return since.astimezone()
    text = since.strip().lower()
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if text in {"today", "yesterday"}:
        # The offset is added last, because the offset of yesterday may differ from today's.
        return (midnight if text == "today" else midnight - timedelta(days=1)).astimezone()
    if _DURATION.fullmatch(text):
        return now - timedelta(seconds=_seconds(text.removesuffix("ago")))
    return datetime.fromisoformat(since.strip()).astimezone()


def _seconds(text: str) -> float:
    total = 0.0
    for amount, unit in _PARTS.findall(text):
        known = _SECONDS.get(unit) or _SECONDS.get(unit.removesuffix("s"))
        if known is None:
            raise ValueError(unit)
        total += float(amount) * known
    return total

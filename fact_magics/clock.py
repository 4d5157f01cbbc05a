"""The one clock and the one way times are written: UTC, ISO 8601, milliseconds, ``Z``."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Tell the time as every row writes it: ``2026-11-22T09:28:00.123Z``."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """Write an aware `datetime` so that texts sort as the moments do.

    Parameters
    ----------
    moment : datetime
        Aware, of any time zone.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

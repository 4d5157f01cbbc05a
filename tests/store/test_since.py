"""What `--since` reads."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import CellError
from fact_magics.store.since import read_since

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 22, 9, 28, 0, 123_000, tzinfo=UTC)


@pytest.fixture(autouse=True)
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone with a summer time, five hours behind UTC in November."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2h", "2026-11-22T07:28:00.123Z"),
        ("3 days", "2026-11-19T09:28:00.123Z"),
        ("1 day", "2026-11-21T09:28:00.123Z"),
        ("90 min", "2026-11-22T07:58:00.123Z"),
        ("1h30m", "2026-11-22T07:58:00.123Z"),
        ("1 hour, 30 minutes ago", "2026-11-22T07:58:00.123Z"),
        ("1.5 HOURS", "2026-11-22T07:58:00.123Z"),
        ("2 weeks ago", "2026-11-08T09:28:00.123Z"),
        ("30s", "2026-11-22T09:27:30.123Z"),
        ("10 secs", "2026-11-22T09:27:50.123Z"),
        ("2 hrs", "2026-11-22T07:28:00.123Z"),
        ("0s", "2026-11-22T09:28:00.123Z"),
        ("today", "2026-11-22T05:00:00.000Z"),
        ("Yesterday", "2026-11-21T05:00:00.000Z"),
        ("2026-11-20", "2026-11-20T05:00:00.000Z"),
        ("2026-07-01", "2026-07-01T04:00:00.000Z"),
        ("2026-11-20T10:00", "2026-11-20T15:00:00.000Z"),
        (" 2026-11-20 10:00:01.5 ", "2026-11-20T15:00:01.500Z"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000Z"),
        ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00.000Z"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00.000Z"),
        (timedelta(minutes=1), "2026-11-22T09:27:00.123Z"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00.000Z"),
        (datetime(2026, 1, 1), "2026-01-01T05:00:00.000Z"),  # noqa: DTZ001 - what a user would pass
    ],
)
def test_a_time_is_read_in_the_users_zone_and_written_in_utc(
    written: str | datetime | timedelta, meant: str
) -> None:
    assert read_since(written, now=NOW) == meant


@pytest.mark.parametrize(
    ("now", "meant"), [((3, 8), "2026-03-07T05:00:00.000Z"), ((3, 9), "2026-03-08T05:00:00.000Z")]
)
def test_yesterdays_midnight_is_right_when_the_clocks_change(now: tuple[int, int], meant: str) -> None:
    assert read_since("yesterday", now=datetime(2026, *now, 18, tzinfo=UTC)) == meant


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            " ",
            "soon",
            "3",
            "h",
            "2 fortnights",
            "2h ago ago",
            "-2h",
            "2h -1h",
            "1e3s",
            "\u0661h",
            "\ud800",
        ),
        *("\ud800", "2026-13-01", "2026-11-20T25:00", "0001-01-01", "99999999999 days", "9" * 400 + "d"),
        "2h; DROP TABLE tools",
        timedelta.max,
    ],
)
def test_anything_else_is_one_line_that_names_what_can_be_written(written: str | timedelta) -> None:
    with pytest.raises(CellError) as caught:
        read_since(written, now=NOW)
    assert "is not a time that --since can read. Write a duration such as 2h" in str(caught.value)
    assert len(str(caught.value)) < 300

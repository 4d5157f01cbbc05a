"""What a name means, changed by lines."""

from __future__ import annotations

import pytest

from fact_magics.errors import CellError, UnknownName

pytestmark = pytest.mark.slow


def test_one_version_alone_is_not_removed(fact, keep_tools):
    keep_tools("twice")
    for line in ("remove twice@1.0.0", "remove twice@1 --yes"):
        with pytest.raises(CellError, match="removes all versions of twice, not just one"):
            fact(line)
    assert fact("tools").plain.startswith("1 tool")


def test_a_version_that_is_not_there_is_said_with_those_that_are(fact, keep_tools):
    keep_tools("twice")
    for version in ("abc", "1.x", "9", "9" * 20):
        with pytest.raises(UnknownName, match=r"It has 1\.0\.0\."):
            fact(f"rollback twice {version}")

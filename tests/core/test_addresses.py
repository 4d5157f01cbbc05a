"""Results that show an address in memory, which differs in each process, are found wherever it stands."""

from __future__ import annotations

import pytest

from fact_magics.core.cache import has_address
from fact_magics.values.attachments import LARGE

SHOWN = b"<object at 0x7f21b44a>"


@pytest.mark.parametrize("before", [0, 1, LARGE - 12, LARGE - 1, LARGE, 3 * LARGE - 9, 3 * LARGE])
def test_in_a_large_view(before: int):
    whole = bytes(before) + SHOWN + bytes(LARGE)
    assert has_address(whole)
    assert has_address(memoryview(whole))
    assert not has_address(memoryview(whole.replace(b" at 0x", b" at 0y")))

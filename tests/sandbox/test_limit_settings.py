"""What ``%config FactMagics.limits`` takes, and when it counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fact_magics.sandbox import Call, Limits, Sandbox
from fact_magics.sandbox.limits import read_limits
from fact_magics.tool import Status

MIB = 1 << 20
NOTHING = b'{"args":[],"kwargs":{}}'


def test_what_is_named_is_set_and_the_rest_stays() -> None:
    limits = read_limits(
        {"processes": 128, "disk_mb": 2048, "file_mb": 1024, "printed_mb": 0.5, "open_files": 512.0}
    )
    assert limits == replace(
        Limits(),
        processes=128,
        scratch_bytes=2048 * MIB,
        file_bytes=1024 * MIB,
        printed_bytes=MIB // 2,
        open_files=512,
    )
    assert read_limits({}) == Limits()


@pytest.mark.parametrize(
    "given",
    [
        {"procs": 3},
        {"processes": 0},
        {"processes": -1},
        {"processes": 1.5},
        {"processes": "64"},
        {"processes": True},
        {"processes": None},
        {"disk_mb": float("nan")},
        {"disk_mb": float("inf")},
        {"disk_mb": 1e300},
        {"disk_mb": 10**400},
        {"open_files": 3},
        {3: 3},
        {"x" * 500: 1},
        {"result_mb": "x" * 500},
    ],
)
def test_anything_else_is_refused_on_one_line(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a limit|positive number|whole number") as refused:
        read_limits(given)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


async def test_other_limits_hold_from_the_next_call_on() -> None:
    sandbox = Sandbox(mode="require", size=1, limits=read_limits({"file_mb": 1}))
    call = Call("def tool():\n    open('f', 'wb').write(bytes(2 << 20))\n    return 1", "tool", NOTHING)
    assert (await sandbox.run(call)).limit == "file size 1 MB"
    await sandbox.reconfigure("require", read_limits({"file_mb": 4}))
    assert (await sandbox.run(call)).status is Status.OK
    await sandbox.aclose()

"""What a real kernel does while no cell runs."""

from __future__ import annotations

import time

import pytest
from kernels import each_kernel_if_thorough
from waiting import until

pytestmark = pytest.mark.kernel

HAS_SDK = "import sys; 'anthropic.resources.messages' in sys.modules"


@each_kernel_if_thorough
def test_an_idle_kernel_imports_the_sdk_for_the_first_generation(modelled, server, shout, shout_cell):
    def imported() -> bool:
        time.sleep(2)  # the kernel must be idle for a while
        return modelled.run(HAS_SDK).plain == "True"

    assert until(imported)
    server.writes(shout)
    assert modelled.run(shout_cell).status == "ok"

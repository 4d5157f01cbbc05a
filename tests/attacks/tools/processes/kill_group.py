"""End all of a session at once."""

import os
import signal


def tool(world):
    os.killpg(world["sentinel"], signal.SIGTERM)

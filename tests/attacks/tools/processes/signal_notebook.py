"""Reach the notebook's process."""

import os


def tool(world):
    os.kill(world["me"], 0)
    return "it would listen"

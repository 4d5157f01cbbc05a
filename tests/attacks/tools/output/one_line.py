"""Print a line without end."""

import sys


def tool(world):
    while True:
        sys.stdout.write("x" * 1000)

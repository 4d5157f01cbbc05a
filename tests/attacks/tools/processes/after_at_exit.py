"""Go on when the interpreter ends."""

import atexit


def tool(world):
    atexit.register(lambda: open(f"{world['folder']}/outbox/after", "w").close())
    return "done"

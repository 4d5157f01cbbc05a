"""Search every object of the interpreter."""

import gc


def tool(world):
    texts = []
    for thing in gc.get_objects():
        if isinstance(thing, dict):
            texts += [value for value in thing.values() if isinstance(value, str) and len(value) < 100]
    return texts

"""Take the stack, until the interpreter itself falls."""


def tool(world):
    # Python counts how deep its own calls are, and since 3.12 most of C's; not these.
    items = iter(())
    for _ in range(1_000_000):
        items = filter(None, items)
    return next(items, None)

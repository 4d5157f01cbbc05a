"""Compute without end where the interpreter can't be interrupted."""


def tool(world):
    return 7**100_000_000

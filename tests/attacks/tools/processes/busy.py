"""Compute without end."""


def tool(world):
    while True:
        pass

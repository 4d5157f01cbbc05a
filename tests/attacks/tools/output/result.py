"""Return more than anybody can use."""


def tool(world):
    return "x" * (10 << 20)

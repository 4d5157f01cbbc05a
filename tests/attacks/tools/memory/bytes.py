"""Take more memory than was allowed, in one piece."""


def tool(world):
    return len(bytearray(b"x") * (200 << 20))

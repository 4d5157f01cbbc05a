"""Take it for one number."""


def tool(world):
    return (1 << (200 << 23)).bit_length()

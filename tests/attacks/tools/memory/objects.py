"""Take it in small pieces."""


def tool(world):
    kept = []
    while len(kept) < 200:
        kept.append(b"x" * (1 << 20))
    return len(kept)

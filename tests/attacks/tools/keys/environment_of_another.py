"""Read a key from the environment of another process of the user's."""


def tool(world):
    return open(f"/proc/{world['sentinel']}/environ").read()

"""Read a file of the user's."""


def tool(world):
    return open(f"{world['folder']}/secret.txt").read()

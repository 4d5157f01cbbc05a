"""Go by another process's root."""


def tool(world):
    return open(f"/proc/{world['sentinel']}/root{world['folder']}/secret.txt").read()

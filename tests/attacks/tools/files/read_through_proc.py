"""Go by another process's working directory."""


def tool(world):
    return open(f"/proc/{world['sentinel']}/cwd/secret.txt").read()

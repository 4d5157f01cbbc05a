"""Read the system's password hashes."""


def tool(world):
    return len(open("/etc/shadow").read())

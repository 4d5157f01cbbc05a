"""List the connections of the whole machine."""


def tool(world):
    return len(open("/proc/net/tcp").read())

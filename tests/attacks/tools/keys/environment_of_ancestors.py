"""Read the environments of the processes that started this one."""

import os


def parent_of(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])


def tool(world):
    found, pid = [], os.getppid()
    while pid > 1:
        try:
            found.append(len(open(f"/proc/{pid}/environ", "rb").read()))
            pid = parent_of(pid)
        except OSError:
            break
    return found

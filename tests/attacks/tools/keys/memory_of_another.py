"""Search another process's memory."""

import re


def tool(world):
    pid = world["sentinel"]
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            if "[stack]" in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(start)
                return re.findall(rb"MY_KEY=[\w-]+", memory.read(end - start))[0].decode()

"""Take it in processes that run a program that nobody may read, whose pages nobody can count."""

import os
import struct
import time

# For x86-64: map 50 MB, write to each page, read a byte from stdin, exit.
CODE = bytes.fromhex(
    "41ba220000004983c8ff4531c931ffb809000000be00002003ba030000000f0531d2c60410014881c200100000"
    "4881fa0000200375ec31ff488d7424ff4531d24531c04531c9ba010000004889f80f05b8e70000004889fe4889"
    "fa0f05c3"
)
START, HEADERS = 0x400000, 64 + 56


def tool(world):
    size = HEADERS + len(CODE)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, START + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, START, START, size, size, 4096)
    with open(os.open("program", os.O_WRONLY | os.O_CREAT, 0o111), "wb") as file:
        file.write(elf + CODE)
    read, write = os.pipe()
    for _ in range(6):
        if os.fork() == 0:
            os.dup2(read, 0)
            os.execv("program", ["program"])
    time.sleep(world["patience"])
    os.write(write, b"x" * 6)
    return [os.wait()[1] for _ in range(6)]

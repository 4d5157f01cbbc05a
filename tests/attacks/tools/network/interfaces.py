"""Ask the kernel for this machine's addresses."""

import socket
import struct


def tool(world):
    asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    asking.bind((0, 0))
    asking.send(struct.pack("=IHHIIBxxxxxxx", 24, 22, 0x301, 1, 0, 0))  # all addresses
    return len(asking.recv(65536)) > 40

"""The source of a tool that returns a picture."""

CHART = '''import struct
import zlib


def chart(n: int) -> bytes:
    """Draw a grey square."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", n, n, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\\0" + b"x" * n) * n)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
'''

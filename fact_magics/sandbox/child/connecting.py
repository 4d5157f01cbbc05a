"""Let blocking sockets wait for a connection outside ``connect(2)``.

Sandlock 0.9.0 connects on behalf of the processes in its sandbox, one socket at a time. While one thread
waits in ``connect(2)`` for a host that does not answer, every other thread has to wait, too, and the call
can't end. A non-blocking socket returns from ``connect(2)`` at once, so this module makes the socket
non-blocking and polls.
"""

from __future__ import annotations

import errno
import os
from typing import Any


def wait_outside() -> None:
    """Change how blocking sockets connect, in this interpreter and its forks, from now on."""
    import select
    import socket

    kind: Any = socket.socket
    plain_connect, plain_connect_ex = kind.connect, kind.connect_ex

    def connect(self: socket.socket, address: Any) -> None:
        if not waits(self):
            plain_connect(self, address)
        elif code := connect_ex(self, address):
            raise OSError(code, os.strerror(code))

    def connect_ex(self: socket.socket, address: Any) -> int:
        if not waits(self):
            return int(plain_connect_ex(self, address))
        self.setblocking(False)
        try:
            code = int(plain_connect_ex(self, address))
            if code != errno.EINPROGRESS:
                return code
            poll = select.poll()
            poll.register(self, select.POLLOUT)
            poll.poll()
            return self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        finally:
            self.setblocking(True)

    def waits(connecting: socket.socket) -> bool:
        return connecting.gettimeout() is None and connecting.family in (socket.AF_INET, socket.AF_INET6)

    kind.connect, kind.connect_ex = connect, connect_ex

"""Go on after the time is up, deaf to whatever asks for an end."""

import signal
import time


def tool(world):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)

"""Start threads without end; without protection it stops by itself at four hundred."""

import threading
import time

threading.stack_size(32768)


def tool(world):
    for _ in range(400):
        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
    time.sleep(world["patience"])
    return threading.active_count() > 300

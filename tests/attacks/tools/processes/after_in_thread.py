"""Go on in a thread when the result is out."""

import threading
import time


def tool(world):
    def go_on():
        time.sleep(0.05)
        open(f"{world['folder']}/outbox/after", "w").close()

    threading.Thread(target=go_on).start()
    return "done"

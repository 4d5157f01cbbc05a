"""Ask a server by the library that everybody uses."""

import urllib.request


def tool(world):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{world['tcp']}/api/contents", timeout=10)
    except TimeoutError:
        return "it answers to nobody"

"""Put another file in a file's place."""

import os


def tool(world):
    with open("evil", "w") as file:
        file.write("changed")
    os.replace("evil", f"{world['folder']}/secret.txt")

"""Make a pipe on which who reads it waits for ever."""

import os


def tool(world):
    os.mkfifo(f"{world['folder']}/data.csv")

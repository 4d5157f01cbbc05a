"""Run a program of the system."""

import subprocess


def tool(world):
    return subprocess.run(["/bin/sh", "-c", "echo done"], capture_output=True).stdout.decode()

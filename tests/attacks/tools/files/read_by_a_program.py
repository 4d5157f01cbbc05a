"""Let a program of the system read it."""

import subprocess


def tool(world):
    return subprocess.run(
        ["/bin/cat", f"{world['folder']}/secret.txt"], capture_output=True, text=True
    ).stdout

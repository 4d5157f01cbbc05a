"""Let a new interpreter read it, which knows of no promise."""

import subprocess
import sys


def tool(world):
    program = f"print(open({world['folder'] + '/secret.txt'!r}).read())"
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True).stdout

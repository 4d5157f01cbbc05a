"""End a process from a program that was started for it."""

import subprocess
import sys


def tool(world):
    subprocess.run([sys.executable, "-I", "-c", f"import os; os.kill({world['sentinel']}, 9)"])

"""Delete all that the user has."""

import shutil


def tool(world):
    shutil.rmtree(world["folder"], ignore_errors=True)

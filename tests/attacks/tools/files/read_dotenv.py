"""Read the keys that a project keeps in its .env."""

from pathlib import Path


def tool(world):
    return Path(world["folder"], ".env").read_text()

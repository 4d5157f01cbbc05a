"""Read the history of all that was ever run."""

import sqlite3


def tool(world):
    connection = sqlite3.connect(f"file:{world['folder']}/facts.sqlite?mode=ro", uri=True)
    return connection.execute("SELECT input FROM history").fetchall()

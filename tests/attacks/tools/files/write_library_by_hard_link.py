"""Change an installed module by another name of it, where writing is allowed."""

import os


def tool(world):
    os.link(f"{world['folder']}/library/module.py", "mine.py")
    with open("mine.py", "a") as file:
        file.write("import os\n")

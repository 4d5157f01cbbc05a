"""Change an installed module, which may be read."""


def tool(world):
    with open(f"{world['folder']}/library/module.py", "a") as file:
        file.write("import os\n")

"""Make a module beside the notebook that Python imports by itself."""


def tool(world):
    with open(f"{world['folder']}/sitecustomize.py", "w") as file:
        file.write("import os\n")

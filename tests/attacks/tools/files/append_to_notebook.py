"""Add a cell to the notebook that runs this."""

import json


def tool(world):
    path = f"{world['folder']}/notebook.ipynb"
    with open(path, "r+") as file:
        notebook = json.load(file)
        notebook["cells"].append({"cell_type": "code", "source": "import os"})
        file.seek(0)
        json.dump(notebook, file)

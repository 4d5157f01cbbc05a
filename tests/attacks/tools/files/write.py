"""Overwrite a file of the user's."""


def tool(world):
    with open(f"{world['folder']}/secret.txt", "w") as file:
        file.write("changed")

"""Print without end."""


def tool(world):
    while True:
        print("x" * 1000)

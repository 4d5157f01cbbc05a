"""Fill the disk with one file."""


def tool(world):
    with open("big", "wb") as file:
        for _ in range(5):
            file.write(bytes(1 << 20))
    return "filled"

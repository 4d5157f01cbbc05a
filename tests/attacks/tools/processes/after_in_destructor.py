"""Go on when an object is thrown away."""


class Late:
    def __init__(self, path):
        self.path = path
        self.open = open

    def __del__(self):
        self.open(self.path, "w").close()


kept = []


def tool(world):
    kept.append(Late(f"{world['folder']}/outbox/after"))
    return "done"

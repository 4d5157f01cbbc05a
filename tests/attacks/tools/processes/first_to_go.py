"""Have another process killed first when memory runs out."""


def tool(world):
    with open(f"/proc/{world['sentinel']}/oom_score_adj", "w") as file:
        file.write("1000")

"""How far a tool's examples go: changed sources, inputs that tell them apart, and the question to ask."""

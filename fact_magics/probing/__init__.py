"""Find out how far a tool's examples go: change its source, derive inputs, and ask about differences."""

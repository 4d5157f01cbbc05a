"""The writing of a tool: prompt, examples, parser, checks, proof, and the loop that repeats them."""

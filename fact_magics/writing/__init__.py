"""From a request to an accepted tool: prompt, examples, parser, checks, proof, and the loop around them."""

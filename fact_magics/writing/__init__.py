"""From a request to an accepted tool: prompt, examples, parser, checks, and the write-prove-repair loop."""

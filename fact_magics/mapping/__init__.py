"""Run a tool on rows: read the rows from the arguments, run them, and collect the results."""

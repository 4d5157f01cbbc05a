"""The code that runs inside an isolated process; it imports the standard library alone."""

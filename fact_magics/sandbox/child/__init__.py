"""Code that the parent sends to an isolated process. It imports only the standard library."""

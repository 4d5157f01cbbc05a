"""The code that runs inside an isolated process. It is sent there, and imports only the standard library."""

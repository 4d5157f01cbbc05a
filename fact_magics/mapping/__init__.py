"""Rows through a tool: what varies from row to row, how the rows run, and what comes of them."""

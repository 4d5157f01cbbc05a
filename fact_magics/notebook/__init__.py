"""The IPython side: cells, magics, completion and the ``%fact`` subcommands."""

"""Everything that knows IPython: the cells, the magics, completion and the `%fact` subcommands."""

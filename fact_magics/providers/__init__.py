"""The providers that write candidates, one per file: a prompt in, events out. `choose` picks one."""

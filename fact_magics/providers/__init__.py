"""Who writes the candidates: one file a provider, prompt in, events out; `choose` picks one."""

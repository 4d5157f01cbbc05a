"""Settings, the models of a ``config.yaml``, and the files that the user trusts."""

from fact_magics.config.settings import Settings, load_settings, own_home

__all__ = ["Settings", "load_settings", "own_home"]

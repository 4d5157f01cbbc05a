"""Settings, the models of a ``config.yaml``, and which found files a person trusts."""

from fact_magics.config.settings import Settings, load_settings, own_home

__all__ = ["Settings", "load_settings", "own_home"]

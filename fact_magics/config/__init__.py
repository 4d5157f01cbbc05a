"""Settings, the models of a ``config.yaml``, and the files that the user trusts."""

from fact_magics.config.loading import load_settings
from fact_magics.config.settings import Settings, own_home

__all__ = ["Settings", "load_settings", "own_home"]

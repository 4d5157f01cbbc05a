"""Settings: where each value comes from, what a found file may decide, and the models that it lists."""

from fact_magics.config.settings import Settings, load_settings, own_home

__all__ = ["Settings", "load_settings", "own_home"]

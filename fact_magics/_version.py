"""The version: the one place that the package, its records and its build read it from."""

__version__ = "0.1.0"

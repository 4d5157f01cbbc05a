"""The version of fact_magics; the package, its stored records and its build read it from here."""

__version__ = "0.1.0"

"""The verified tools that ship with the package, and the search for them."""

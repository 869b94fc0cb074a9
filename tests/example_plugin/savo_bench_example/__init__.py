"""An example of a package that adds to savo-bench; its pyproject.toml names what it offers as entry points."""

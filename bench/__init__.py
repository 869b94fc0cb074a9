"""The command line and the grid: the only package that knows algorithms, environments and results."""

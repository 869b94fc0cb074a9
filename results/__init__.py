"""Runs on disk and what they say: the run directory, statistics, tables, figures, reports.

This package works on files alone. It needs neither torch nor a simulator, so a run directory copied from a cluster can
be read anywhere. Only `results.format` knows the run directory's layout; everything else reads through it.
"""

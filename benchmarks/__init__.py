"""Measurements of the toolkit itself, each started as `python -m benchmarks.NAME`."""

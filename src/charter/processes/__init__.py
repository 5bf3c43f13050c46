"""Processes that a run begins, and what ends them with it. A guard is run as a file: its folder holds nothing else."""

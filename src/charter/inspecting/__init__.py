"""Charter's evaluations as tasks of Inspect: its datasets, solvers and scorers, with Charter's reading and figures.

Nothing here is imported by the rest of Charter: Inspect finds ``inspecting.tasks`` by its entry point.
"""

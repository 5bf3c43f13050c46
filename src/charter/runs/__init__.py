"""A run's folder: its lock, its recipe, its environment, and which stages are done."""

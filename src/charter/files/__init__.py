"""Reading YAML, JSON and Parquet from outside with errors that name the place, and writing tables."""

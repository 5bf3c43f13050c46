"""What a run will take, and whether it can begin: known before anything is loaded."""

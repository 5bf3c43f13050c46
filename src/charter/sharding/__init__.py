"""A run divided over many machines: each does a shard of the prompts, and the shards are merged into the run."""

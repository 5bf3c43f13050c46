"""A folder that vLLM's server has on its path: what lies here is imported there, and imports nothing of ours."""

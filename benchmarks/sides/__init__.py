"""What runs in processes of its own (see ``benchmarks.children``)."""

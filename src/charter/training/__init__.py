"""Training: rows to trainer columns, supervised fine-tuning, soft-label DPO, adapters and checkpoints."""

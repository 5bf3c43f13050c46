"""Training: rows to trainer columns, supervised fine-tuning, soft-label DPO, adapters and checkpoints."""

import charter.engines.quiet  # noqa: F401 - before PEFT is imported, which imports what speaks

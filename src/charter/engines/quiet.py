"""Keep the model libraries from printing: progress and messages are the console's alone."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# What is ignored, and why nobody needs to read it.
_KNOWN = (
    # PEFT and TRL still say `gradient_checkpointing` where transformers 5 says `activation_checkpointing`.
    ("`(is_)?gradient_checkpointing(_kwargs|_enable|_disable)?` is deprecated", FutureWarning),
)

# Where it is installed, PEFT imports it, and it tells which kernels it did not find; it has others.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence progress bars, informational messages and known warnings of transformers, datasets, PEFT and TRL."""
    import datasets
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    dataset_bars = not datasets.utils.are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            for message, category in _KNOWN:
                warnings.filterwarnings("ignore", message=message, category=category)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if dataset_bars:
            datasets.enable_progress_bars()

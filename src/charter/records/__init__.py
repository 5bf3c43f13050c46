"""The rows that travel through a run: frozen, typed, with ids and provenance.

A record goes to JSON and back with ``to_json`` and ``from_json`` (the journal), and to a flat table row with
``to_row`` and back with ``from_row`` (Parquet, JSON lines). Text is kept verbatim.
"""

from charter.records.base import Record
from charter.records.evaluation import (
    Adherence,
    Comparison,
    Figures,
    Measurement,
    Probed,
    Reading,
    Response,
    ResponseLabel,
    Scored,
)
from charter.records.prompts import (
    BUILT_IN,
    GENERATED,
    PROMPT_COLUMNS,
    Contested,
    Message,
    Prompt,
    PromptKind,
    PromptLayout,
    PromptRow,
    Role,
    Split,
    make_prompt,
    transcript,
)
from charter.records.training import (
    AnyPairSource,
    OnCut,
    Order,
    Pair,
    PairSource,
    Preference,
    Round,
    SftRow,
    Side,
    Trace,
    Verdict,
)

__all__ = [
    "BUILT_IN",
    "GENERATED",
    "PROMPT_COLUMNS",
    "Adherence",
    "AnyPairSource",
    "Comparison",
    "Contested",
    "Figures",
    "Measurement",
    "Message",
    "OnCut",
    "Order",
    "Pair",
    "PairSource",
    "Preference",
    "Probed",
    "Prompt",
    "PromptKind",
    "PromptLayout",
    "PromptRow",
    "Reading",
    "Record",
    "Response",
    "ResponseLabel",
    "Role",
    "Round",
    "Scored",
    "SftRow",
    "Side",
    "Split",
    "Trace",
    "Verdict",
    "make_prompt",
    "transcript",
]

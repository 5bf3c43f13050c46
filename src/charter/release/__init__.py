"""A finished run made ready for others: sent to the Hugging Face Hub, or its models written where somebody says."""

from charter.release.publication import USUAL, WHATS, Published, What, publish_run, refusal
from charter.release.weights import ExportedModel, Form, export_model

__all__ = [
    "USUAL",
    "WHATS",
    "ExportedModel",
    "Form",
    "Published",
    "What",
    "export_model",
    "publish_run",
    "refusal",
]

"""A run's rows for others: exports in the layouts that are in circulation."""

from charter.publishing.export import LAYOUTS, Exported, export_rows, export_run

__all__ = ["LAYOUTS", "Exported", "export_rows", "export_run"]

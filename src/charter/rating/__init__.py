"""Rating: people compare answers blind on a page of their own machine, and what they say becomes figures and labels."""

from charter.rating.exporting import label_rows
from charter.rating.items import Item, draw_items, file_items, gold_items, run_items
from charter.rating.records import Rating, standing
from charter.rating.results import Results, assess
from charter.rating.sitting import Sitting
from charter.rating.store import RatingStore, read_ratings

__all__ = [
    "Item",
    "Rating",
    "RatingStore",
    "Results",
    "Sitting",
    "assess",
    "draw_items",
    "file_items",
    "gold_items",
    "label_rows",
    "read_ratings",
    "run_items",
    "standing",
]

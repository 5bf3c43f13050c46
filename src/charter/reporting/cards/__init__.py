"""Cards of a run's models and datasets: Markdown with front matter, as model hubs show them.

```
write_cards(run) ── facts           what a stranger may know of a run; its paths are hidden     (pure, but for reading)
                 ├─ model_card      front matter and sections ── figures, loading               (pure)
                 ├─ dataset_card    the same of rows ── label_facts, columns                    (pure)
                 │  collection_card and of all tables together, for one repository              (pure)
                 ├─ making          how both were made                                          (pure)
                 └─ markdown        whatever is not Markdown of ours is made inert              (pure)
```
"""

from charter.reporting.cards.writing import Card, Cards, write_cards

__all__ = ["Card", "Cards", "write_cards"]

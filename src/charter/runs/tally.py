"""What a stage took: time, calls and tokens, as the journal keeps it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from charter.engines.usage import Usage
from charter.records import Record


class Tally(Record):
    """What a stage took so far: seconds of work, and calls and tokens by model, with money where a price is known.

    Of a stage that ``is_undone`` this is what it took before, which is not forgotten with what it made. Where its last
    sitting ended at the budget ``stopped`` says so.
    """

    seconds: float = 0.0
    usage: dict[str, Usage] = Field(default_factory=dict)
    money: dict[str, float] = Field(default_factory=dict)
    is_undone: bool = False
    stopped: str = ""

    def __add__(self, other: Tally) -> Tally:
        models = dict.fromkeys((*self.usage, *other.usage))
        usage = {model: self.usage.get(model, Usage()) + other.usage.get(model, Usage()) for model in models}
        priced = dict.fromkeys((*self.money, *other.money))
        money = {model: self.money.get(model, 0.0) + other.money.get(model, 0.0) for model in priced}
        return Tally(seconds=self.seconds + other.seconds, usage=usage, money=money)

    def columns(self) -> dict[str, Any]:
        """Give what a summary says of it."""
        usage = {model: _usage_columns(used) for model, used in self.usage.items()}
        for model, money in self.money.items():
            usage[model]["money"] = money
        return {"seconds": round(self.seconds, 3), "usage": usage}


def _usage_columns(used: Usage) -> dict[str, Any]:
    total = used.total.model_dump()
    kinds = used.model_dump()
    n_shared, failed = kinds.pop("n_prompt_tokens_from_prefix"), kinds.pop("failed_tries")
    columns = {"n_cached": total.pop("n_hits"), **total, "n_prompt_tokens_from_prefix": n_shared, "kinds": kinds}
    return columns | ({"failed_tries": failed} if failed else {})

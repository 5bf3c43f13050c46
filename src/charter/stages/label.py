"""Stage ``label``: the judge's soft labels, from both orders and k principles (CAI §4.1)."""

from __future__ import annotations

from charter.feedback import label
from charter.files.tables import read_table, write_table
from charter.records import Pair, Preference
from charter.runs.folder import Run
from charter.seeds import derive_seed
from charter.stages.summary import Summary, summarise_rows


def do_label(run: Run) -> Summary:
    """Write ``data/preferences.parquet``."""
    settings = run.recipe.label
    mapped = label(
        read_table(run.data("pairs"), Pair),
        run.constitution,
        run.pool.engine("judge"),
        helpful=run.helpful,
        seed=run.recipe.seed,
        mapper=run.mapper,
        **settings.model_dump(exclude={"held_out"}),
    )
    write_table(run.data("preferences"), mapped.done, Preference)
    invalid = sum(verdict.invalid is not None for one in mapped.done for verdict in one.verdicts)
    judged = [one for one in mapped.done if one.agrees is not None]
    return summarise_rows(
        mapped,
        counts={
            "verdicts": sum(len(one.verdicts) for one in mapped.done),
            "invalid verdicts": invalid,
            "agrees with the source": sum(one.agrees is True for one in judged),
            "disagrees with the source": sum(one.agrees is False for one in judged),
        },
    )


def read_preferences(run: Run) -> tuple[list[Preference], list[Preference]]:
    """Read the preferences to train on, and those of the prompts held out, by a hash of the prompt's id."""
    preferences = read_table(run.data("preferences"), Preference)
    share = run.recipe.label.held_out
    held_out = {
        one.prompt.id for one in preferences if derive_seed(run.recipe.seed, one.prompt.id, "held out") < share * 2**56
    }
    train = [one for one in preferences if one.prompt.id not in held_out]
    return train, [one for one in preferences if one.prompt.id in held_out]

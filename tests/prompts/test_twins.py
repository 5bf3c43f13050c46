from __future__ import annotations

from pathlib import Path

import pytest

from charter.errors import PromptError
from charter.prompts import LoadedPrompts, load_prompts
from charter.prompts.grouping import join_groups
from charter.prompts.twins import check_twins, describe_unlinked
from charter.records import PromptKind, make_prompt

N = 16


def _loaded(folder: Path, ids: str, twins: str, **options: str) -> dict[PromptKind, LoadedPrompts]:
    """Load red-team prompts r0 to r15 with ids in a column of any name, and twins as written."""
    rows = "".join(f"r{number},Harm number {number}?\n" for number in range(N))
    (folder / "red.csv").write_text(f"{ids},prompt\n{rows}", "utf-8")
    (folder / "twins.jsonl").write_text(twins, "utf-8")
    return {
        "red_team": load_prompts(str(folder / "red.csv"), "red_team", **options),  # type: ignore[arg-type]
        "benign_twin": load_prompts(str(folder / "twins.jsonl"), "benign_twin"),
    }


def _twins(*twin_of: str) -> str:
    return "".join(
        f'{{"prompt": "Benign number {number}?", "twin_of": "{name}"}}\n' for number, name in enumerate(twin_of)
    )


ALL = _twins(*(f"r{number}" for number in range(N)))


def test_ids_that_the_prompts_do_not_have_are_refused(tmp_path: Path) -> None:
    """Where the ids are in a column that nobody named, the twins name nothing: the file, line, id and remedy."""
    with pytest.raises(PromptError) as caught:
        check_twins(_loaded(tmp_path, "nr", ALL))
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path / 'twins.jsonl'}:1: twin_of is 'r0', which is the id of no prompt in {tmp_path / 'red.csv'} "
        "(as in 15 more rows); "
    )
    assert "set prompts.red_team.id_column to the one that holds the ids (its columns are nr, prompt)" in message
    check_twins(_loaded(tmp_path, "nr", ALL, id_column="nr"))
    check_twins(_loaded(tmp_path, "id", ALL))


def test_one_lost_twin_is_refused(tmp_path: Path) -> None:
    """A single id that is not there is named with those that are, and the nearest."""
    with pytest.raises(PromptError) as caught:
        check_twins(_loaded(tmp_path, "id", _twins("r0", "r1", "r99")))
    message = str(caught.value)
    assert "twins.jsonl:3: twin_of is 'r99'" in message
    assert "its ids are 'r0', 'r1', 'r10' and 13 more; did you mean \"r9\"?; mend twin_of" in message


def test_a_prompt_that_was_left_out_may_be_named(tmp_path: Path) -> None:
    """Twins of prompts that a condition left out are known, and left out by the selection."""
    check_twins(_loaded(tmp_path, "id", ALL, where={"id": "r3"}))  # type: ignore[arg-type]


def test_built_in_twins_may_stand_beside_other_prompts(tmp_path: Path) -> None:
    """They are a set of their own there; beside built-in prompts of which few are taken they are known."""
    loaded = _loaded(tmp_path, "id", ALL)
    check_twins({**loaded, "benign_twin": load_prompts("built-in", "benign_twin")})
    built_in = {kind: load_prompts("built-in", kind, limit=9) for kind in ("red_team", "benign_twin")}  # type: ignore[arg-type]
    check_twins(built_in)  # type: ignore[arg-type]
    check_twins({"red_team": loaded["red_team"]})
    with pytest.raises(PromptError, match="twin_of is 'r0', which is the id of no prompt in built-in"):
        check_twins({**loaded, "red_team": load_prompts("built-in", "red_team")})


def test_twins_that_name_nothing_are_described(tmp_path: Path) -> None:
    """Twins without a link are split on their own, which is said; linked ones need no word."""
    assert describe_unlinked(_loaded(tmp_path, "id", ALL)["benign_twin"]) == ""
    some = _twins("r0") + '{"prompt": "Lone?"}\n'
    assert "1 of 2 rows have no 'twin_of'" in describe_unlinked(_loaded(tmp_path, "id", some)["benign_twin"])
    none = '{"prompt": "Lone?"}\n'
    found = describe_unlinked(_loaded(tmp_path, "id", none)["benign_twin"])
    assert found.startswith(f"{tmp_path / 'twins.jsonl'}: no row has 'twin_of': such twins are split on their own")


def test_a_red_team_prompt_may_name_its_twin_too() -> None:
    """Where both name each other they are still one group."""
    pair = [
        make_prompt("a", "red_team", id="r0", twin_of="t0"),
        make_prompt("b", "benign_twin", id="t0", twin_of="r0"),
    ]
    assert len(set(join_groups(pair).values())) == 1

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import EngineError, TooManyFailures, UserError
from charter.evaluation.multiple_choice import ChoiceRow
from charter.records import Pair, Prompt, make_prompt
from charter.revision.chain import ChainStart
from charter.rows import map_rows
from charter.runs.folder import open_run
from charter.sharding.shard import Shard, ShardMapper, part_of, shard_of
from processes import printed_everywhere
from run_examples import RECIPE, small_recipe


def prompts(n: int) -> list[Prompt]:
    """Make prompts."""
    return [make_prompt(f"question {number}", "red_team") for number in range(n)]


def test_a_shard_is_read_as_it_is_written() -> None:
    """The number comes first, then how many there are; folders sort by number."""
    shard = Shard.read("3/16")
    assert (shard.number, shard.of, str(shard)) == (3, 16, "3/16")
    assert shard.folder(Path("run")) == Path("run/shards/03-of-16")
    assert Shard.read(" 1/1 ").folder(Path("run")) == Path("run/shards/1-of-1")


@pytest.mark.parametrize(
    "text", ["", "3", "3 of 16", "0/16", "17/16", "-1/16", "1/0", "a/b", "1/16/2", "1.0/2", "1/99999"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    """The error quotes what was written and says what is expected."""
    with pytest.raises(
        UserError, match=r"--shard is .*(such as 3/16|numbered from 1/16 to|divided into 1 to 10000 sh)"
    ):
        Shard.read(text)


@given(st.text(min_size=1), st.integers(1, 50))
def test_every_row_belongs_to_one_shard(name: str, n: int) -> None:
    """Whatever the id, one shard holds the row and no other does."""
    row = ChoiceRow(name, "", (), ())
    assert [shard.number for shard in (Shard(n, number) for number in range(1, n + 1)) if shard.holds(row)] == [
        shard_of(row, n)
    ]


def test_rows_of_one_prompt_belong_together() -> None:
    """A prompt's chains and pairs are the shard's that its prompt is of; what is about no prompt goes by its own id."""
    for prompt in prompts(20):
        rows = [
            ChainStart(prompt),
            ChainStart(prompt, 1),
            Pair(id="another id", prompt=prompt, a="a", b="b", source="on_policy"),
        ]
        assert {shard_of(row, 7) for row in rows} == {shard_of(prompt, 7)}
    assert len({shard_of(ChoiceRow(f"row {number}", "", (), ()), 7) for number in range(50)}) == 7


def test_shards_are_about_as_large_as_each_other() -> None:
    """Of 16,000 prompts each of 16 shards has about a thousand."""
    sizes = Counter(shard_of(prompt, 16) for prompt in prompts(16_000))
    assert len(sizes) == 16
    assert 880 < min(sizes.values()) <= max(sizes.values()) < 1120


def test_a_shard_s_rows_are_spread_over_all_of_its_actors() -> None:
    """A division with another purpose cuts across shards, also where one number divides the other."""
    of_third = [prompt for prompt in prompts(16_000) if shard_of(prompt, 16) == 3]
    sizes = Counter(part_of(prompt, 4, "actor") for prompt in of_third)
    assert set(sizes) == {0, 1, 2, 3}
    assert min(sizes.values()) > len(of_third) / 6


def test_a_shard_is_the_same_on_every_machine() -> None:
    """Membership depends on the id alone."""
    code = (
        "from charter.records import make_prompt; from charter.sharding.shard import shard_of\n"
        "print([shard_of(make_prompt(str(number), 'helpful'), 16) for number in range(12)])"
    )
    assert printed_everywhere(code) == "[3, 10, 8, 2, 12, 12, 3, 3, 13, 9, 3, 12]\n"


def test_a_shard_of_few_rows_may_lose_them_where_the_whole_could(tmp_path: Path) -> None:
    """How many rows may fail is not held against the few of a shard, only against all; so in a run, too."""

    async def fails(row: Prompt) -> Prompt:
        raise EngineError(f"no answer to {row.text}")

    row = prompts(9)
    shard = Shard(9, shard_of(row[0], 9))
    own = [one for one in row if shard.holds(one)]
    with open_run(small_recipe(tmp_path), tmp_path / "run", recipe_text=RECIPE) as run:
        mapped = ShardMapper(shard, run.mapper)(fails, row, "revise", result=Prompt)
        assert set(run.journal.outcomes("revise")) == set(mapped.failed) == {one.id for one in own}
    part = ShardMapper(shard, map_rows)(fails, own, "stage", result=Prompt, n_whole=len(row))
    assert part.failed == mapped.failed
    with pytest.raises(TooManyFailures):
        map_rows(fails, own, "stage", result=Prompt)

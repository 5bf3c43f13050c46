"""Ratings on the disk: whatever is said, and wherever a process ends, nothing is lost or kept twice."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.errors import CharterError, JournalError, RunError
from charter.files.lines import append_line
from charter.rating import RatingStore, Sitting, read_ratings, standing, store
from charter.rating.sitting import PRESSED, Said, StaleError, clean_name
from rating.rated import make_item, make_items, make_rating, say

ITEMS = make_items(4)


def test_what_stands_is_the_last_that_was_not_taken_back() -> None:
    """An undone choice is none, and what is said again comes last."""
    one, other = ITEMS[:2]
    records = [
        make_rating(one, "a", 1, "model"),
        make_rating(other, "a", 2, "tie"),
        make_rating(other, "a", 3, "undo"),
        make_rating(one, "a", 4, "undo"),
        make_rating(one, "a", 5, "base"),
    ]
    assert standing(records[:2]) == {one.id: records[0], other.id: records[1]}
    assert standing(records) == {one.id: records[4]}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from([*PRESSED, "again", "stale", "kill", "tear", "full"]),
        st.integers(0, 10_000),
    ),
    max_size=40,
)


class World:
    """A file, the process that writes it, and what two raters were told is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged: dict[str, list[tuple[int, str]]] = {"ann": [], "bob": []}
        self.last: dict[str, Said] = {}
        self.kill()

    def kill(self, *_: Any) -> None:
        """End the process, and begin another."""
        self.sitting = Sitting(ITEMS, RatingStore(self.path))

    def tear(self, _rater: str, number: int) -> None:
        """End the process in the middle of a line."""
        content = self.path.read_bytes()
        begun = b"" if content.endswith(b"\n") or not content else b"\n"
        self.path.write_bytes(content + begun + b"0123456789abcdef {"[: number % 18])
        self.kill()

    def full(self, rater: str, number: int) -> None:
        """Have a write fail after some of its bytes, as on a disk that is full."""

        def part(path: Path, value: Any) -> None:
            del path, value
            self.tear(rater, number)
            raise RunError("full")

        before = self.sitting
        if before.state(rater)["item"] is not None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(store, "append_line", part)
                with pytest.raises(CharterError, match="full"):
                    say(before, rater, "tie")
            self.sitting = before

    def again(self, rater: str, _number: int) -> None:
        """Say again what was said last: a double click, or a lost acknowledgement."""
        if rater in self.last:
            before = self.path.read_bytes()
            self.sitting.take(rater, self.last[rater])
            assert self.path.read_bytes() == before

    def stale(self, rater: str, number: int) -> None:
        """Answer what is not asked."""
        with pytest.raises(StaleError):
            self.sitting.take(rater, Said(self.sitting.state(rater)["number"] + number % 3, "tie", "item-elsewhere"))

    def press(self, rater: str, pressed: Any) -> None:
        """Say something of what is in view."""
        state = self.sitting.state(rater)
        said = Said(state["number"], pressed, None if pressed == "undo" else (state["item"] or {}).get("id"), 1.0)
        try:
            self.sitting.take(rater, said)
        except StaleError:
            assert state["item"] is None or (pressed == "undo" and state["n_done"] == 0)
        else:
            self.acknowledged[rater].append((said.number, pressed))
            self.last[rater] = said


@settings(max_examples=60)
@given(STEPS)
def test_any_interleaving_with_crashes_loses_nothing(steps: list[tuple[str, Any, int]]) -> None:
    """What was acknowledged is there once, after kills, torn lines, full disks, repeats and late windows."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "kept.jsonl")
        for rater, what, number in steps:
            if what in PRESSED:
                world.press(rater, what)
            else:
                getattr(world, what)(rater, number)
        kept, _ = read_ratings(world.path)
        for rater, told in world.acknowledged.items():
            own = kept.get(rater, [])
            assert [(one.number, _pressed(one)) for one in own] == told
            assert [one.number for one in own] == list(range(1, len(own) + 1))
            assert world.sitting.state(rater)["n_done"] == len(standing(own))


def _pressed(one: Any) -> str:
    if one.choice in {"model", "base"}:
        return "left" if one.choice == one.left else "right"
    return str(one.choice)


def test_what_was_said_otherwise_elsewhere_is_refused(tmp_path: Path) -> None:
    """Two windows show one item; the second to answer it otherwise is told so, and the same answer is no quarrel."""
    sitting = Sitting(ITEMS, RatingStore(tmp_path / "kept"))
    item = sitting.state("ann")["item"]["id"]
    sitting.take("ann", Said(1, "left", item))
    assert sitting.take("ann", Said(1, "left", item))["number"] == 2
    for said in (Said(1, "right", item), Said(1, "left", "item-other"), Said(2, "left", item), Said(3, "tie", item)):
        with pytest.raises(StaleError):
            sitting.take("ann", said)
    assert len(read_ratings(tmp_path / "kept")[0]["ann"]) == 1


def test_a_line_that_was_not_acknowledged_gives_way(tmp_path: Path) -> None:
    """A line that was written before its sync failed has the number of what was said then: the later one counts."""
    path = tmp_path / "kept"
    store = RatingStore(path)
    store.add(make_rating(ITEMS[0], "ann", 1, "model"))
    store.add(make_rating(ITEMS[0], "ann", 1, "base"))
    assert [one.choice for one in read_ratings(path)[0]["ann"]] == ["base"]


def test_damage_costs_its_line_alone(tmp_path: Path) -> None:
    """A line of which one byte is another is counted; those before and behind it are read."""
    path = tmp_path / "kept"
    store = RatingStore(path)
    for number, item in enumerate(ITEMS, start=1):
        store.add(make_rating(item, "ann", number, "tie"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1].replace(b"tie", b"tee"), *lines[2:]]))
    found, n_damaged = read_ratings(path)
    assert [one.number for one in found["ann"]] == [1, 3, 4]
    assert n_damaged == 1


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1"])
def test_times_are_numbers_that_can_be(tmp_path: Path, seconds: str) -> None:
    """A median of what is no time would be told as if it were one."""
    path = tmp_path / "kept"
    told = make_rating(ITEMS[0], "ann", 1, "tie").model_dump(mode="json")
    append_line(path, told | {"seconds": float(seconds)})
    with pytest.raises(JournalError, match="a line is no rating"):
        read_ratings(path)


@pytest.mark.parametrize("content", [b"# notes\n", b"{}\n", b"prompt,chosen\n", b"0123456789abcdefg\n"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """A file of something else is neither read nor written; a first line that is torn is ours."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="is no file of ratings"):
        RatingStore(path)
    assert path.read_bytes() == content
    path.write_bytes(b"0123456")
    assert RatingStore(path).n_damaged == 1


@pytest.mark.parametrize("name", ["", "   ", "a" * 65, "a\x00b", "a\u202eb", "\ud800"])
def test_names_that_are_none(name: str) -> None:
    """Nothing, too much, and what cannot be seen."""
    with pytest.raises(ValueError, match="a name of 1 to 64"):
        clean_name(name)


def test_names_have_one_form() -> None:
    """However they are composed and spaced."""
    assert clean_name("  Ana\u0303  Li ") == "Anã Li" == clean_name("Anã Li")


def test_sides_and_orders_are_drawn_for_each_rater(tmp_path: Path) -> None:
    """The same again for the same rater and seed, others for others, and sides about evenly."""
    items = make_items(200)
    seen = {}
    for seed, rater in ((0, "ann"), (0, "bob"), (1, "ann")):
        sitting = Sitting(items, RatingStore(tmp_path / f"{seed}{rater}"), seed=seed)
        shown = []
        while (item := sitting.state(rater)["item"]) is not None:
            shown.append((item["id"], "another" in item["left"]))
            say(sitting, rater, random.Random(len(shown)).choice(["left", "tie", "skip"]))  # noqa: S311 - a test
        seen[seed, rater] = shown
        assert sorted(name for name, _ in shown) == sorted(item.id for item in items)
        assert 70 < sum(is_base for _, is_base in shown) < 130
    assert len({tuple(name for name, _ in shown) for shown in seen.values()}) == 3
    sides = [dict(shown) for shown in seen.values()]
    assert 60 < sum(sides[0][name] != sides[1][name] for name in sides[0]) < 140


def test_an_item_is_what_it_holds() -> None:
    """The same answers are the same item; another text is another one."""
    assert make_item(1).id == make_item(1).id != make_item(2).id
    assert make_item(1).id.startswith("item-")
    assert make_item(1, gold=True).id.startswith("item-")

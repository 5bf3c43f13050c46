"""Checkpoints that are whole or passed over, and results that appear at once."""

from pathlib import Path

import pytest

from charter.errors import RunError
from charter.training.checkpoints import (
    SEAL,
    Workplace,
    damage,
    finish,
    fitting,
    newest_whole,
    open_workplace,
    prune,
    publish,
    publish_again,
    seal,
    take_back,
)

IDENTITY = {"stage": "sft", "seed": 1, "targets": ("q", "v")}
TOLD = {"n_steps": 3}


def make_checkpoint(folder: Path, step: int, *, sealed: bool = True) -> Path:
    """Write a small checkpoint."""
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "deeper").mkdir(parents=True)
    (checkpoint / "weights").write_bytes(b"w" * 100)
    (checkpoint / "deeper" / "state").write_text(str(step))
    if sealed:
        seal(checkpoint)
    return checkpoint


def finished(out: Path) -> Path:
    """Finish a training of one file."""
    place = open_workplace(out, IDENTITY, resume=True)
    place.staged.mkdir()
    (place.staged / "weights").write_text("w")
    finish(place, TOLD)
    return out


def tear(checkpoint: Path, how: str) -> None:
    """Damage a checkpoint in one way."""
    if how == "unsealed":
        (checkpoint / SEAL).unlink()
    elif how == "missing":
        (checkpoint / "deeper" / "state").unlink()
    elif how == "short":
        (checkpoint / "weights").write_bytes(b"w" * 50)
    elif how == "altered":
        (checkpoint / "weights").write_bytes(b"w" * 99 + b"x")
    elif how == "seal torn":
        (checkpoint / SEAL).write_text('{"files": {"wei')


def test_a_sealed_checkpoint_is_whole(tmp_path: Path) -> None:
    """Nothing is wrong with what was just sealed."""
    assert damage(make_checkpoint(tmp_path, 3)) is None


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("unsealed", "not finished"),
        ("missing", "deeper/state is missing"),
        ("short", "weights has 50 bytes instead of 100"),
        ("altered", "weights was altered"),
        ("seal torn", "cannot be read"),
    ],
)
def test_a_torn_newest_checkpoint_is_passed_over(tmp_path: Path, how: str, said: str) -> None:
    """The newest whole one is found, and a note says what is wrong with the newer."""
    whole = make_checkpoint(tmp_path, 9)
    tear(make_checkpoint(tmp_path, 10), how)
    found, notes = newest_whole(tmp_path)
    assert found == whole
    assert len(notes) == 1
    assert notes[0].startswith("checkpoint-10 was passed over")
    assert said in notes[0]


def test_newest_is_by_step_not_by_name(tmp_path: Path) -> None:
    """Step 100 is newer than step 20, although its name sorts before."""
    make_checkpoint(tmp_path, 20)
    newest = make_checkpoint(tmp_path, 100)
    assert newest_whole(tmp_path) == (newest, ())


def test_prune_keeps_two_and_what_is_named(tmp_path: Path) -> None:
    """The newest stays and the sealed one before it, and one by its step; all others go, torn ones too."""
    for step in (1, 2, 3):
        make_checkpoint(tmp_path, step)
    make_checkpoint(tmp_path, 4, sealed=False)
    make_checkpoint(tmp_path, 12, sealed=False)
    prune(tmp_path, make_checkpoint(tmp_path, 10), 1, 7)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-1", "checkpoint-3", "checkpoint-10"}
    prune(tmp_path, tmp_path / "checkpoint-10")
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-3", "checkpoint-10"}


@pytest.mark.parametrize("sealed", ["[]", "{}", '{"files": []}', '{"files": {"weights": {"sizf": 100}}}', "\xff"])
def test_an_altered_seal_is_no_seal(tmp_path: Path, sealed: str) -> None:
    """Whatever a seal was altered into, the checkpoint is passed over and the training goes on."""
    (make_checkpoint(tmp_path, 3) / SEAL).write_text(sealed, "latin-1")
    assert damage(tmp_path / "checkpoint-3") == f"its {SEAL} cannot be read"


def test_workplace_is_resumed_only_by_the_same_training(tmp_path: Path) -> None:
    """The same identity goes on; another begins afresh and says why."""
    out = tmp_path / "sft"
    place = open_workplace(out, IDENTITY, resume=True)
    assert place.checkpoint is None
    assert place.notes == ()
    checkpoint = make_checkpoint(place.folder, 5)
    assert open_workplace(out, IDENTITY, resume=True).checkpoint == checkpoint
    other = open_workplace(out, IDENTITY | {"seed": 2}, resume=True)
    assert other.checkpoint is None
    assert other.notes == ("checkpoint-5 was deleted: it is of another training (seed)",)
    assert not checkpoint.exists()


def test_workplace_starts_afresh_when_told(tmp_path: Path) -> None:
    """With resume off, checkpoints are deleted."""
    place = open_workplace(tmp_path / "sft", IDENTITY, resume=True)
    checkpoint = make_checkpoint(place.folder, 5)
    assert open_workplace(tmp_path / "sft", IDENTITY, resume=False).checkpoint is None
    assert not checkpoint.exists()


def test_an_existing_result_is_not_overwritten(tmp_path: Path) -> None:
    """A folder with something in it is refused, an empty one is not."""
    out = tmp_path / "sft"
    out.mkdir()
    open_workplace(out, IDENTITY, resume=True)
    (out / "adapter_config.json").write_text("{}")
    with pytest.raises(RunError, match="exists"):
        open_workplace(out, IDENTITY, resume=True)


def test_result_appears_at_once_and_the_work_folder_goes(tmp_path: Path) -> None:
    """Finishing renames the staged folder and leaves nothing else."""
    finished(tmp_path / "models" / "sft")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "models",
        "models/sft",
        "models/sft/training.json",
        "models/sft/weights",
    ]


def test_a_result_is_taken_back_and_found_done(tmp_path: Path) -> None:
    """The same training publishes it again and reads what was told of it; nothing else is left."""
    out = finished(tmp_path / "sft")
    (tmp_path / "sft.training").mkdir()  # killed while the work folder was deleted
    assert take_back(out)
    assert not out.exists()
    assert publish_again(out, IDENTITY) == TOLD
    assert [path.name for path in tmp_path.iterdir()] == ["sft"]
    assert (out / "weights").read_text() == "w"
    with pytest.raises(RunError, match="exists"):
        publish_again(out, IDENTITY)


def test_a_result_that_another_training_finds_is_deleted(tmp_path: Path) -> None:
    """It is not published for it, and the note says in what the trainings differ."""
    out = finished(tmp_path / "sft")
    take_back(out)
    other = IDENTITY | {"seed": 2}
    assert publish_again(out, other) is None
    place = open_workplace(out, other, resume=True)
    assert place.notes == ("the finished model was deleted: it is of another training (seed)",)
    assert not place.staged.exists()


@pytest.mark.parametrize("account", [None, "", "[]", '{"identity": {}}'])
def test_what_does_not_say_what_made_it_is_not_taken_back(tmp_path: Path, account: str | None) -> None:
    """A folder without a whole account, or a file, is left where it is."""
    out = tmp_path / "sft"
    out.mkdir()
    if account is not None:
        (out / "training.json").write_text(account)
    (tmp_path / "file").write_text("")
    assert not take_back(out)
    assert not take_back(tmp_path / "file")
    assert not take_back(tmp_path / "nothing")
    assert {path.name for path in tmp_path.iterdir()} == {"sft", "file"}


def test_everything_is_synced_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first fsync the result does not exist yet, and each of its files is synced."""
    staged, out = tmp_path / "staged", tmp_path / "out"
    staged.mkdir()
    for name in ("a", "b"):
        (staged / name).write_text(name)
    seen: list[bool] = []
    monkeypatch.setattr("os.fsync", lambda _descriptor: seen.append(out.exists()))
    publish(staged, out)
    assert seen == [False, False, False, True]
    assert (out / "b").read_text() == "b"


@pytest.mark.parametrize(("file", "kind"), [("optimizer.pt", "none"), ("optimizer.bin", "fsdp"), ("x/y", "deepspeed")])
def test_a_checkpoint_that_was_divided_otherwise_is_passed_over(tmp_path: Path, file: str, kind: str) -> None:
    """The optimiser's state is in other files there, and would be begun anew without a word."""
    checkpoint = tmp_path / "sft.training" / "checkpoint-3"
    (checkpoint / file).parent.mkdir(parents=True)
    (checkpoint / file).touch()
    workplace = Workplace(tmp_path / "sft", checkpoint.parent, {}, checkpoint, ())
    for now in ("none", "fsdp", "deepspeed"):
        found = fitting(workplace, now)
        if now == kind:
            assert found == workplace
        else:
            assert found.checkpoint is None
            said = f"checkpoint-3 was passed over: its weights were divided otherwise ({kind}, now {now})"
            assert found.notes == (said,)

"""A run is sent to a hub that answers as the real one does: what arrives, who may read it, and what stops it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charter.engines.quiet import quiet_libraries
from charter.errors import RunError, UserError
from charter.files.tables import write_json, write_text
from charter.publishing.hub import _reason
from charter.release import USUAL, Published, publish_run
from publishing.hub_server import TOKEN, WritableHub, running_hub
from publishing.publishable import make_adapter_folder, make_run
from publishing.test_leaks import SECRETS

# The library's own, about how its client is to be called.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
ROWS, DPO = ("dataset", "anna/small"), ("model", "anna/small-dpo")
TABLES = tuple(f"data/{name}.parquet" for name in ("prompts", "traces", "sft", "preferences"))
OF_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "tokenizer.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that can be published; tests change copies of it."""
    return make_run(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WritableHub]:
    """A hub that huggingface_hub takes for the real one, with a token for it in the environment."""
    from huggingface_hub import constants

    with running_hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-login"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server


def publish(run: Path, **options: Any) -> Published:
    """Publish with names of the tests' own."""
    return publish_run(run, "anna/small", **{"licence": "mit", **options})


def test_files_arrive_byte_for_byte(run: Path, hub: WritableHub) -> None:
    """Tables and the last policy with their cards, private, and nothing that is no part of them."""
    done = publish(run)
    assert set(hub.repositories) == {ROWS, DPO}
    assert all(one.private for one in hub.repositories.values())
    rows, dpo = hub.repositories[ROWS].files, hub.repositories[DPO].files
    assert set(rows) == {*TABLES, "README.md"}
    assert set(dpo) == {*OF_ADAPTER, "tokenizer_config.json", "README.md"}
    assert all(rows[name] == (run / name).read_bytes() for name in TABLES)
    assert all(dpo[name] == (run / "models/dpo" / name).read_bytes() for name in OF_ADAPTER)
    assert {one.name: dict(one.files) for one in done.repositories} == {
        name: {path: len(content) for path, content in one.files.items()} for (_, name), one in hub.repositories.items()
    }
    assert [(one.kind, one.name) for one in done.sent] == [ROWS, DPO]
    assert [one.url for one in done.sent] == [f"{hub.address}/datasets/anna/small", f"{hub.address}/anna/small-dpo"]
    assert all(one.is_new and one.is_private for one in done.sent)
    assert done.notes == ()


def test_the_token_travels_as_a_header_alone(run: Path, hub: WritableHub) -> None:
    """Whoever is asked by a signed address is not told it, and no body or address has it."""
    publish(run)
    assert hub.requests
    for one in hub.requests:
        assert TOKEN not in one.target
        assert TOKEN.encode() not in one.body
        expected = None if one.target.startswith("/storage/") else f"Bearer {TOKEN}"
        assert one.headers.get("authorization") == expected
        assert [name for name, value in one.headers.items() if TOKEN in value] == ["authorization"] * bool(expected)


def test_cards_are_the_hubs(run: Path, hub: WritableHub) -> None:
    """The README of each repository has front matter that the hub's classes read: base, library, licence, configs."""
    from huggingface_hub import DatasetCard, ModelCard

    publish(run, what=(*USUAL,))
    model = ModelCard(hub.repositories[DPO].files["README.md"].decode()).data
    assert (model.base_model, model.library_name, model.license) == ("acme/tiny", "peft", "mit")
    assert model.eval_results
    rows = DatasetCard(hub.repositories[ROWS].files["README.md"].decode()).data
    assert [one["config_name"] for one in rows.configs] == ["prompts", "traces", "sft", "preferences"]
    assert [one["config_name"] for one in rows.configs if one.get("default")] == ["preferences"]
    assert {one["data_files"][0]["path"] for one in rows.configs} == set(TABLES)


def test_the_dataset_loads_as_it_is(run: Path, hub: WritableHub, tmp_path: Path) -> None:
    """What arrived, laid into a folder, is what datasets reads, each table by its name and preferences by none."""
    from datasets import load_dataset

    publish(run, what=("dataset", "cards"))
    for name, content in hub.repositories[ROWS].files.items():
        path = tmp_path / "fetched" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    cache = str(tmp_path / "cache")
    for name in (None, "prompts", "traces", "sft", "preferences"):
        loaded = load_dataset(str(tmp_path / "fetched"), name, split="train", cache_dir=cache)
        table = pq.read_table(run / "data" / f"{name or 'preferences'}.parquet")
        assert loaded.num_rows == table.num_rows
        assert loaded.column_names == table.column_names


def test_the_same_again_is_no_commit(run: Path, hub: WritableHub) -> None:
    """Nothing is uploaded twice and no empty commit made; what changed goes alone."""
    first = publish(run)
    n_puts = len(hub.targets("PUT"))
    again = publish(run)
    assert [one.is_new for one in again.sent] == [False, False]
    assert [one.commit for one in again.sent] == [one.commit for one in first.sent]
    assert len(hub.targets("PUT")) == n_puts
    assert all(len(one.commits) == 2 for one in hub.repositories.values())
    write_text(run / "models/dpo/chat_template.jinja", "{{ another }}\n")
    assert [one.is_new for one in publish(run).sent] == [False, True]
    assert hub.repositories[DPO].files["chat_template.jinja"] == b"{{ another }}\n"


def test_what_was_cut_off_goes_on(run: Path, hub: WritableHub) -> None:
    """A hub that broke between upload and commit has the large files already: they are not sent again."""
    hub.broken = 500
    with pytest.raises(UserError, match=r"the hub is busy or broken \(500") as caught:
        publish(run, what=("adapter", "cards"))
    assert TOKEN not in str(caught.value)
    uploaded = hub.targets("PUT")
    assert len(uploaded) == 1
    hub.broken = 0
    assert publish(run, what=("adapter", "cards")).sent[0].is_new
    assert hub.targets("PUT") == uploaded


def test_public_is_public_where_it_was_asked_for(run: Path, hub: WritableHub) -> None:
    """And only there: one that is public already takes nothing unasked."""
    assert not any(one.is_private for one in publish(run, public=True).sent)
    n = len(hub.requests)
    write_text(run / "models/dpo/chat_template.jinja", "{{ another }}\n")
    with pytest.raises(UserError, match=r"anna/small at .* is public: everybody would read"):
        publish(run)
    assert {one.method for one in hub.requests[n:]} == {"GET"}


def test_a_new_repository_that_comes_out_public_takes_nothing(run: Path, hub: WritableHub) -> None:
    """Settings of its owner may make it so, whatever was asked."""
    hub.always_public.add("anna")
    with pytest.raises(UserError, match="is public"):
        publish(run)
    assert not hub.repositories[ROWS].files


@pytest.mark.usefixtures("hub")
def test_a_private_repository_stays_private(run: Path) -> None:
    """--public changes nothing about what is there; what it is is told."""
    publish(run)
    assert all(one.is_private for one in publish(run, public=True).sent)


def test_chosen_parts(run: Path, hub: WritableHub) -> None:
    """Models by name, tables without a card, cards alone."""
    done = publish(run, what=("adapter",), models=("sft", "dpo"))
    assert [one.name for one in done.sent] == ["anna/small-sft", "anna/small-dpo"]
    assert "README.md" not in hub.repositories[DPO].files
    assert any("no card is sent" in note for note in done.notes)
    done = publish(run, what=("cards",))
    assert {one.name: set(one.files) for one in done.repositories} == {
        "anna/small": {"README.md"},
        "anna/small-dpo": {"README.md"},
    }
    assert {"README.md", *OF_ADAPTER} < set(hub.repositories[DPO].files)


def test_a_dry_run_sends_and_writes_nothing(run: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no token, and lists what would go."""
    monkeypatch.delenv("HF_TOKEN")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = publish(run, dry_run=True)
    assert (done.sent, done.findings, hub.requests) == ((), (), [])
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    sizes = {one.name: one.files for one in done.repositories}
    assert {name: sizes["anna/small"][name] for name in TABLES} == {
        name: (run / name).stat().st_size for name in TABLES
    }


def plant(run: Path, text: str) -> Iterator[tuple[str, str]]:
    """Put a text into one file of each kind, one after another, and say where it then is."""
    tokenizer = run / "models/dpo/tokenizer.json"
    kept = tokenizer.read_bytes()
    write_json(tokenizer, {"model": {}, "note": text})
    yield "anna/small-dpo/tokenizer.json", "line 3"
    tokenizer.write_bytes(kept)
    path = run / "data/preferences.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("chosen")
    chosen = table["chosen"].to_pylist()
    chosen[4] = f"Of course: {text}"
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(chosen)), path)
    yield "anna/small/data/preferences.parquet", "row 5, column 'chosen'"


@pytest.mark.parametrize("kind", ["an API key (sk-...)", "a private key in PEM form", "a password in an address"])
def test_a_secret_stops_it_before_any_request(run: Path, hub: WritableHub, kind: str) -> None:
    """File, place, kind and remedy are told, the secret is not, and nothing lets it pass."""
    for file, place in plant(run, SECRETS[kind]):
        with pytest.raises(UserError) as caught:
            publish(run, allow_paths=True)
        assert f"  {file}, {place}: {kind}" in str(caught.value)
        assert "Nothing lets a secret pass" in str(caught.value)
        assert SECRETS[kind] not in str(caught.value)
        assert [str(one) for one in publish(run, dry_run=True).findings] == [f"{file}, {place}: {kind}"]
    assert hub.requests == []


def test_the_token_itself_stops_it(run: Path, hub: WritableHub) -> None:
    """The value of HF_TOKEN is looked for wherever it may have come to stand."""
    for file, place in plant(run, TOKEN):
        with pytest.raises(UserError) as caught:
            publish(run)
        assert f"{file}, {place}: the value of HF_TOKEN" in str(caught.value)
        assert TOKEN not in str(caught.value)
    assert hub.requests == []


def test_paths_stop_it_unless_they_are_allowed(run: Path, hub: WritableHub) -> None:
    """They are told by what they are; with --allow-paths the same files go."""
    *_, (file, place) = plant(run, f"{run.resolve()}/data")
    with pytest.raises(UserError) as caught:
        publish(run)
    assert f"{file}, {place}: a path of the run's own folder" in str(caught.value)
    assert "--allow-paths" in str(caught.value)
    assert hub.requests == []
    assert publish(run, allow_paths=True).sent


def test_a_base_in_a_folder_stops_an_adapter(run: Path, hub: WritableHub) -> None:
    """Even by a relative path: nobody else has it, and merged weights need none."""
    make_adapter_folder(run / "models/dpo", "./models/ours")
    with pytest.raises(UserError) as caught:
        publish(run)
    assert "anna/small-dpo/adapter_config.json, line 2: the adapter's base is a folder" in str(caught.value)
    assert "--what dataset,merged,cards" in str(caught.value)
    assert hub.requests == []


@pytest.mark.parametrize("base", ["smollm2-135m", "/cache/charter/models/smollm2-135m-{hash}"])
def test_an_embedded_base_is_named_as_the_hub_knows_it(run: Path, hub: WritableHub, base: str) -> None:
    """The embedded name is nobody's there; that the weights differ a little is said."""
    from charter.engines.embedded import EMBEDDED

    folder = EMBEDDED["smollm2-135m"].folder_name
    make_adapter_folder(run / "models/dpo", base.replace("smollm2-135m-{hash}", folder))
    done = publish(run)
    arrived = json.loads(hub.repositories[DPO].files["adapter_config.json"])
    assert arrived["base_model_name_or_path"] == EMBEDDED["smollm2-135m"].origin
    assert arrived["r"] == 4
    assert any("not quite those" in note for note in done.notes)


def test_a_wrong_token_and_a_missing_right(run: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says what is wrong and what to do, before a byte of the run was sent, and never the token."""
    hub.read_only.add("anna")
    with pytest.raises(UserError, match=r"may not write there \(403: .*right to write to 'anna'"):
        publish(run)
    wrong = TOKEN[::-1].replace("_fh", "hf_")
    monkeypatch.setenv("HF_TOKEN", wrong)
    with pytest.raises(UserError, match=r"the token is not valid there \(401\).*settings/tokens") as caught:
        publish(run)
    assert wrong not in str(caught.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match=r"there is no token for .*HF_TOKEN.*hf auth login"):
        publish(run)
    assert hub.targets("PUT") == hub.targets("POST", "main") == []
    assert not hub.repositories


def test_a_right_that_is_missing_to_one_sends_nothing_to_another(run: Path, hub: WritableHub) -> None:
    """Every repository is looked at before the first is sent to."""
    publish(run, what=("dataset",), public=True)
    n = len(hub.repositories[ROWS].commits)
    with pytest.raises(UserError, match="is public"):
        publish(run, what=("adapter", "dataset", "cards"))
    assert len(hub.repositories[ROWS].commits) == n


def test_files_that_the_repository_ignores_are_missed(run: Path, hub: WritableHub) -> None:
    """A .gitignore there leaves files out without a word of the library's; we have one."""
    publish(run, what=("cards",))
    hub.repositories[DPO].ignored = frozenset({"tokenizer.json"})
    with pytest.raises(UserError, match=r"tokenizer\.json did not arrive whole.*\.gitignore"):
        publish(run)


def test_a_hub_that_is_not_there(run: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and none wanted: what to look at is said."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"does not answer as it should: .*HF_ENDPOINT"):
        publish(run)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set; unset it"):
        publish(run)
    assert hub.requests == []


def test_what_is_not_the_runs_is_not_sent(run: Path, hub: WritableHub, tmp_path: Path) -> None:
    """A link in a model's folder does not take a file along that lies elsewhere."""
    (tmp_path / "private.json").write_text("{}", "utf-8")
    (run / "models/dpo/tokenizer.json").unlink()
    (run / "models/dpo/tokenizer.json").symlink_to(tmp_path / "private.json")
    with pytest.raises(RunError, match=r"tokenizer\.json: is a link that leads out of the run's folder"):
        publish(run)
    assert hub.requests == []


def test_what_cannot_be_had_is_refused(run: Path, hub: WritableHub, tmp_path: Path) -> None:
    """Names, stages and folders that are none, and a run that lacks what it made."""
    for name in ("small", "anna/small/x", "anna/.hidden", "anna/a--b", "anna/" + "x" * 96, "../small"):
        with pytest.raises(UserError, match=r"is no name of a repository|too long for the hub"):
            publish_run(run, name)
    with pytest.raises(UserError, match="the run trained no such model"):
        publish(run, models=("rl",))
    with pytest.raises(UserError, match="--licence"):
        publish(run, licence="Apache 2")
    with pytest.raises(RunError, match="nowhere"):
        publish(tmp_path / "nowhere")
    (run / "models/dpo/adapter_model.safetensors").unlink()
    with pytest.raises(RunError, match="models/dpo: holds no weights"):
        publish(run)
    assert hub.requests == []


def test_a_run_that_is_not_finished_says_so(run: Path, hub: WritableHub) -> None:
    """Rows may be published before a model is measured."""
    (run / "stages/evaluate.json").unlink()
    notes = publish(run, what=("dataset", "cards"), licence=None, dry_run=True).notes
    assert any("not finished: it lacks evaluate" in note for note in notes)
    assert any("no licence is named" in note for note in notes)
    assert hub.requests == []


def test_the_command_in_an_environment_of_its_own(run: Path, hub: WritableHub, tmp_path: Path) -> None:
    """The library reads the hub's address, the token and its settings from the environment, as people set them."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        "HF_ENDPOINT": hub.address,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": TOKEN,
    }
    command = [sys.executable, "-m", "charter", "publish", str(run), "--to", "anna/small", "--licence", "mit"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{hub.address}/datasets/anna/small  private, commit {hub.repositories[ROWS].head}" in done.stdout
    assert TOKEN not in done.stdout
    assert hub.repositories[ROWS].files[TABLES[0]] == (run / TABLES[0]).read_bytes()


def test_files_that_change_while_they_are_searched_are_not_sent(
    run: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was searched is what is sent, or nothing is."""
    from charter.release import publication as release

    search = release.find_leaks

    def search_and_change(*given: Any) -> Any:
        found = search(*given)
        write_json(run / "models/dpo/tokenizer.json", {"model": {}, "note": "written since"})
        return found

    monkeypatch.setattr(release, "find_leaks", search_and_change)
    with pytest.raises(RunError, match="changed while they were searched; nothing was sent"):
        publish(run)
    assert hub.requests == []


@pytest.mark.model
def test_merged_weights_are_sent_as_a_whole_model(
    run: Path, hub: WritableHub, tiny_model: Path, tmp_path: Path
) -> None:
    """They need no base, their card says so, nothing of the merging stays behind, and the same again is no commit."""
    from huggingface_hub import ModelCard
    from transformers import AutoModelForCausalLM

    from charter.training.adapters import LoraSettings, load_trainee, save_trained

    shutil.rmtree(run / "models/dpo")
    trainee = load_trainee(tiny_model, lora=LoraSettings(r=4), seed=3, dtype="float32", device="cpu")
    save_trained(trainee.model, trainee.tokenizer, run / "models/dpo", str(tiny_model))
    before = sorted(run.rglob("*"))
    (sent,) = publish(run, what=("merged", "cards")).sent
    assert (sent.name, sent.is_private) == ("anna/small-dpo-merged", True)
    files = hub.repositories["model", sent.name].files
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md"} <= set(files)
    assert "adapter_config.json" not in files
    card = ModelCard(files["README.md"].decode())
    assert (card.data.library_name, card.data.base_model_relation) == ("transformers", "finetune")
    assert "merged into its base" in card.text
    assert "PeftModel" not in card.text
    assert sorted(run.rglob("*")) == before
    for name, content in files.items():
        (tmp_path / "fetched").mkdir(exist_ok=True)
        (tmp_path / "fetched" / name).write_bytes(content)
    with quiet_libraries():
        assert AutoModelForCausalLM.from_pretrained(tmp_path / "fetched").num_parameters() > 0
    assert not publish(run, what=("merged", "cards")).sent[0].is_new


@pytest.mark.model
def test_a_whole_model_is_sent_as_it_is(run: Path, hub: WritableHub, tiny_model: Path) -> None:
    """Trained without an adapter it goes by its own card, and there is nothing to merge."""
    shutil.rmtree(run / "models/dpo")
    shutil.copytree(tiny_model, run / "models/dpo")
    publish(run, what=("adapter", "cards"))
    files = hub.repositories[DPO].files
    assert files["model.safetensors"] == (tiny_model / "model.safetensors").read_bytes()
    assert b"library_name: transformers" in files["README.md"]
    with pytest.raises(UserError, match="a whole model already"):
        publish(run, what=("merged",))


def test_no_error_repeats_a_token_of_whatever_form() -> None:
    """Another hub's token may look like nothing: it is told by its value, and others' keys by their form."""
    token, other = "plain words as a token", SECRETS["an API key (sk-...)"]
    told = _reason(ValueError(f"{token} and\n{other} are wrong" + "!" * 400), token)
    assert told.startswith("*** and *** are wrong!")
    assert len(told) <= 304

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from charter.engines.embedded import EMBEDDED
from charter.engines.inspection import check_adapter
from charter.engines.weights import ModelFolder, model_fingerprint, resolve_model
from charter.errors import ModelError
from engines.model_folders import make_adapter, make_model, save_weights, write_json


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep both caches inside the test."""
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "charter"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_import_loads_no_heavy_library() -> None:
    """Finding models needs neither torch nor transformers, and importing it not even the hub's client."""
    code = (
        "import sys, charter.engines.weights, charter.engines.scripted, charter.engines.cache\n"
        "print([name for name in ('torch', 'transformers', 'huggingface_hub') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_folder_is_found(tmp_path: Path) -> None:
    """A model's folder is itself, by its absolute path, and has its own tokenizer."""
    folder = make_model(tmp_path / "model")
    found = resolve_model(str(folder))
    assert found == ModelFolder(str(folder), folder.resolve(), "folder")
    assert found.tokenizer == folder


def test_relative_and_home_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path and a path under ``~`` name folders."""
    folder = make_model(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_model("model").path == folder
    assert resolve_model("~/model").path == folder


def test_sharded_weights_are_found(tmp_path: Path) -> None:
    """An index names the shards; a missing one is named."""
    folder = make_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    save_weights(folder / "model-00002-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    write_json(folder / "model.safetensors.index.json", {"weight_map": shards})
    assert resolve_model(str(folder)).path == folder
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model-00002-of-00002\.safetensors"):
        resolve_model(str(folder))


def test_adapter_brings_its_base(tmp_path: Path) -> None:
    """An adapter's folder resolves to its base's weights with the adapter on them."""
    base = make_model(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", str(base))
    found = resolve_model(str(adapter))
    assert (found.path, found.adapter) == (base, adapter)
    assert found.base == resolve_model(str(base))
    assert found.tokenizer == base
    write_json(adapter / "tokenizer.json", {})
    assert resolve_model(str(adapter)).tokenizer == adapter


@pytest.mark.parametrize("base", ["smollm2-135m", "/home/someone/.cache/charter/models/smollm2-135m-bcc81830"])
def test_adapter_of_the_embedded_model_finds_it_anywhere(base: str, tmp_path: Path) -> None:
    """A base named by its embedded name, or by its place in another machine's cache, is the embedded model."""
    folder = _pretend_fetched(tmp_path)
    adapter = make_adapter(tmp_path / "adapter", base)
    found = resolve_model(str(adapter), allow_download=False)
    assert found.path == folder
    assert found.base is not None
    assert (found.base.name, found.base.source) == ("smollm2-135m", "embedded")


@pytest.mark.parametrize(
    ("base", "revision", "expected"),
    [
        ("owner/name", "v1", "owner/name@v1"),
        ("owner/name", None, "owner/name"),
        ("owner/name@v1", "v2", "owner/name@v1"),
        ("/a/folder", "v1", "/a/folder"),
    ],
)
def test_base_is_pinned_by_the_adapters_revision(
    base: str, revision: str | None, expected: str, tmp_path: Path
) -> None:
    """PEFT keeps a base's revision in a field of its own; a folder has none."""
    adapter = make_adapter(tmp_path / "adapter", base)
    settings = {"peft_type": "LORA", "base_model_name_or_path": base, "revision": revision}
    write_json(adapter / "adapter_config.json", settings)
    assert check_adapter(adapter) == expected


def test_adapter_without_its_base_names_both(tmp_path: Path) -> None:
    """A base that is not there is an error that names the adapter and the base."""
    adapter = make_adapter(tmp_path / "adapter", "/nowhere/base")
    with pytest.raises(ModelError, match=rf"adapter in {re.escape(str(adapter))}.*'/nowhere/base'"):
        resolve_model(str(adapter))


def test_adapter_on_an_adapter_is_refused(tmp_path: Path) -> None:
    """Adapters are not stacked: the message says to merge."""
    base = make_model(tmp_path / "base")
    first = make_adapter(tmp_path / "first", str(base))
    second = make_adapter(tmp_path / "second", str(first))
    with pytest.raises(ModelError, match="merge"):
        resolve_model(str(second))


def test_adapter_that_is_its_own_base_is_refused(tmp_path: Path) -> None:
    """A circle of adapters ends in the same error."""
    folder = tmp_path / "adapter"
    make_adapter(folder, str(folder))
    with pytest.raises(ModelError, match="itself an adapter"):
        resolve_model(str(folder))


def test_pickled_adapter_is_refused(tmp_path: Path) -> None:
    """An adapter in adapter_model.bin is a pickle."""
    adapter = make_adapter(tmp_path / "adapter", str(make_model(tmp_path / "base")))
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"pickled weights only \(adapter_model.bin\)"):
        resolve_model(str(adapter))


@pytest.mark.parametrize("other", ["extra.safetensors", "adapter_model.safetensors.index.json"])
def test_safetensors_beside_a_pickled_adapter_do_not_let_it_in(other: str, tmp_path: Path) -> None:
    """Where adapter_model.safetensors is not there, peft loads adapter_model.bin, whatever else lies beside it."""
    adapter = make_adapter(tmp_path / "adapter", str(make_model(tmp_path / "base")))
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model-00001-of-00001.safetensors")
    (adapter / "adapter_model.bin").write_bytes(b"a pickle")
    if other.endswith(".json"):
        write_json(adapter / other, {"weight_map": {"weight": "adapter_model-00001-of-00001.safetensors"}})
    else:
        save_weights(adapter / other)
    with pytest.raises(ModelError, match=r"lacks adapter_model\.safetensors, the file that peft loads"):
        resolve_model(str(adapter))


def test_adapter_that_names_no_base_is_refused(tmp_path: Path) -> None:
    """Without base_model_name_or_path nothing is guessed."""
    adapter = make_adapter(tmp_path / "adapter", "")
    with pytest.raises(ModelError, match="names no base model"):
        resolve_model(str(adapter))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickled_weights_are_refused(name: str, tmp_path: Path) -> None:
    """Pickles are never loaded; the message says what to do."""
    folder = make_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelError, match=rf"pickled weights only \({name}\).*safetensors"):
        resolve_model(str(folder))


def test_gguf_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """A GGUF folder says how to convert it."""
    folder = make_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model.gguf")
    with pytest.raises(ModelError, match="GgufConfig"):
        resolve_model(str(folder))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_custom_code_needs_permission(file: str, tmp_path: Path) -> None:
    """auto_map, in the model's or the tokenizer's configuration, is refused unless allowed."""
    folder = make_model(tmp_path / "model")
    write_json(folder / file, {"model_type": "odd", "auto_map": {"AutoModel": "modeling.Odd"}})
    with pytest.raises(ModelError, match=r"modeling\.Odd.*trust_remote_code"):
        resolve_model(str(folder))
    assert resolve_model(str(folder), trust_remote_code=True).trust_remote_code


def test_torn_weights_are_refused(tmp_path: Path) -> None:
    """A safetensors file that was cut short, or is a pointer, is named before anything loads it."""
    folder = make_model(tmp_path / "model")
    whole = (folder / "model.safetensors").read_bytes()
    for torn in (whole[:-1], whole[:4], b"version https://git-lfs.github.com/spec/v1\n", b""):
        (folder / "model.safetensors").write_bytes(torn)
        with pytest.raises(ModelError, match="not a whole safetensors file"):
            resolve_model(str(folder))


def test_folder_without_configuration_shows_what_it_holds(tmp_path: Path) -> None:
    """A folder that is no model says what is in it; one with models inside names them."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json, but nothing"):
        resolve_model(str(tmp_path / "empty"))
    make_model(tmp_path / "runs" / "checkpoint-10")
    with pytest.raises(ModelError, match="checkpoint-10"):
        resolve_model(str(tmp_path / "runs"))


@pytest.mark.parametrize("damage", ["{", "[]", "\xff"])
def test_unreadable_configuration_is_named(damage: str, tmp_path: Path) -> None:
    """A configuration that is no JSON object is an error, not a crash."""
    folder = make_model(tmp_path / "model")
    (folder / "config.json").write_bytes(damage.encode("latin-1"))
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve_model(str(folder))


def test_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    """A model that cannot read text is no model here."""
    folder = make_model(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        resolve_model(str(folder))


def test_file_is_not_a_model(tmp_path: Path) -> None:
    """A file in place of a folder is said to be one."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="is a file"):
        resolve_model(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize("model", ["./none", "/none/such", "a/b/c", "", "two words", "~/none"])
def test_missing_folder_says_where_it_looked(model: str) -> None:
    """What cannot be a hub id is a folder that is not there; the hub is not asked."""
    with pytest.raises(ModelError, match=r"no embedded model \(smollm2-135m\), there is no folder /"):
        resolve_model(model)


def test_near_miss_is_suggested() -> None:
    """A slip in an embedded name is answered with the name."""
    with pytest.raises(ModelError, match="did you mean 'smollm2-135m'"):
        resolve_model("smollm2-135", allow_download=False)


def test_download_is_not_forced(tmp_path: Path) -> None:
    """Where nothing may be downloaded, a model that is not here is an error that says so."""
    for model in ("smollm2-135m", "acme/tiny"):
        with pytest.raises(ModelError, match="nothing may be downloaded"):
            resolve_model(model, allow_download=False)
    assert not (tmp_path / "charter").exists()


def test_hub_copy_on_this_machine_is_found_without_a_call(tmp_path: Path) -> None:
    """A snapshot in the hub's cache is used as it is, by its branch and by its commit."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = make_model(tmp_path / "hub" / "models--acme--tiny" / "snapshots" / commit)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(commit)
    for name in ("acme/tiny", f"acme/tiny@{commit}"):
        found = resolve_model(name, allow_download=False)
        assert found == ModelFolder(name, snapshot, "hub", revision=commit)


def test_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    """A moved folder, another release's version stamp or a stray file changes nothing; content does."""
    folder = make_model(tmp_path / "one", transformers_version="5.0", _name_or_path="here")
    twin = make_model(tmp_path / "two", transformers_version="6.0", _name_or_path="there")
    (twin / "optimizer.pt").write_bytes(b"state")
    (twin / "README.md").write_text("words")
    prints = {model_fingerprint(resolve_model(str(place))) for place in (folder, twin)}
    assert len(prints) == 1
    assert re.fullmatch(r"[0-9a-f]{64}", prints.pop())


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
)
def test_fingerprint_changes_with_every_content_file(file: str, tmp_path: Path) -> None:
    """Weights, configuration, tokenizer and template each count."""
    folder = make_model(tmp_path / "model")
    before = model_fingerprint(resolve_model(str(folder)))
    if file == "model.safetensors":
        save_weights(folder / file, seed=1)
    elif file.endswith(".json"):
        write_json(folder / file, {"changed": True})
    else:
        (folder / file).write_text("{{ changed }}")
    assert model_fingerprint(resolve_model(str(folder))) != before


def test_fingerprint_of_an_adapter_covers_both(tmp_path: Path) -> None:
    """The adapter's and the base's weights count; the path by which the base is named does not."""
    bases = [make_model(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    prints = [
        model_fingerprint(resolve_model(str(make_adapter(tmp_path / f"on-{base.name}", str(base))))) for base in bases
    ]
    assert prints[0] == prints[1] != prints[2]
    other = make_adapter(tmp_path / "other", str(bases[0]), seed=5)
    assert model_fingerprint(resolve_model(str(other))) not in {
        *prints,
        model_fingerprint(resolve_model(str(bases[0]))),
    }


def test_fingerprint_is_remembered_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time no file is read; a new time or size makes it be read again."""
    folder = make_model(tmp_path / "model")
    _age(folder)
    model = resolve_model(str(folder))
    first = model_fingerprint(model)
    hashed: list[Path] = []
    monkeypatch.setattr("charter.engines.fingerprint._hash", lambda path: hashed.append(path) or "0" * 64)
    assert model_fingerprint(model) == first
    assert hashed == []
    os.utime(folder / "model.safetensors", (1, 1))
    model_fingerprint(model)
    assert [path.name for path in hashed] == ["model.safetensors"]


def test_fresh_file_is_not_remembered(tmp_path: Path) -> None:
    """Two writes within one tick of the clock, of one size, are still told apart."""
    folder = make_model(tmp_path / "model")
    model = resolve_model(str(folder))
    first = model_fingerprint(model)
    times = (folder / "model.safetensors").stat()
    save_weights(folder / "model.safetensors", seed=1)
    os.utime(folder / "model.safetensors", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert model_fingerprint(model) != first


@pytest.mark.parametrize("memory", ["{", "[]", '{"x": 1}', "\x00"])
def test_damaged_memory_of_fingerprints_is_made_again(memory: str, tmp_path: Path) -> None:
    """A memory that cannot be read costs a hash and no more."""
    folder = make_model(tmp_path / "model")
    _age(folder)
    model = resolve_model(str(folder))
    first = model_fingerprint(model)
    path = tmp_path / "charter" / "fingerprints.json"
    assert path.is_file()
    path.write_text(memory)
    assert model_fingerprint(model) == first


def test_memory_of_fingerprints_forgets_what_is_gone(tmp_path: Path) -> None:
    """The memory does not grow with folders that no longer exist."""
    gone = make_model(tmp_path / "gone")
    kept = make_model(tmp_path / "kept")
    _age(gone)
    _age(kept)
    model_fingerprint(resolve_model(str(gone)))
    for path in gone.iterdir():
        path.unlink()
    model_fingerprint(resolve_model(str(kept)))
    text = (tmp_path / "charter" / "fingerprints.json").read_text()
    assert str(kept) in text
    assert str(gone) not in text


def test_fingerprint_needs_no_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be remembered, the hash is still given."""
    folder = make_model(tmp_path / "model")
    _age(folder)
    (tmp_path / "file").write_text("")
    expected = model_fingerprint(resolve_model(str(folder)))
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "file"))
    assert model_fingerprint(resolve_model(str(folder))) == expected


def test_code_counts_where_it_runs(tmp_path: Path) -> None:
    """With trust_remote_code the model's Python is part of its fingerprint."""
    folder = make_model(tmp_path / "model", auto_map={"AutoModel": "modeling.Odd"})
    prints = set()
    for code in ("one = 1", "two = 2"):
        (folder / "modeling.py").write_text(code)
        prints.add(model_fingerprint(resolve_model(str(folder), trust_remote_code=True)))
    assert len(prints) == 2


def _age(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, (10**9, 10**9))


def _pretend_fetched(tmp_path: Path) -> Path:
    folder = make_model(tmp_path / "charter" / "models" / EMBEDDED["smollm2-135m"].folder_name)
    write_json(folder / "complete.json", {"files": {path.name: path.stat().st_size for path in folder.iterdir()}})
    return folder

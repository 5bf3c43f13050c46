"""Secrets and paths are found wherever they stand in a file, by place and kind, and are never told."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charter.errors import UserError
from charter.publishing import leaks
from charter.publishing.leaks import Finding, Known, find_leaks, gather_known
from publishing.publishable import write_weights

NOTHING = Known({}, {})
# Put together here, so that no file of ours holds what looks like one.
SECRETS = {
    "a token of Hugging Face (hf_...)": "hf_" + "AbCdEfGhIj" * 3 + "KlMn",
    "an API key (sk-...)": "sk-" + "proj-aB3dE5fG7hI9jK1lM3nO5",
    "a key of AWS (AKIA...)": "AKIA" + "QWERTYUIOP234567",
    "a private key in PEM form": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "a password in an address": "postgres://" + "anna:hunter22@db.internal:5432/rows",
    "a token of GitHub or GitLab": "ghp_" + "a1B2c3D4e5F6" * 3,
    "a token of Slack (xox...)": "xoxb-" + "123456789012-abcdefghijkl",
    "a key of Google (AIza...)": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "a JSON web token": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.s1gnatur3s1gnatur3",
}
HARMLESS = (
    "sk-learn-based-classifiers-are-many and sk-nothing",
    "a key such as hf_... or sk-..., or hf_transfer",
    "AWS shows AKIAIOSFODNN7EXAMPLE everywhere",
    "https://user:password@example.com and ftp://you:<token>@host and http://a:$PASS@b",
    "mail me at someone@example.com, see https://example.com:8080/@name",
    "-----BEGIN PUBLIC KEY-----",
    "eyJ is how base64 of a brace begins",
    "https://example.com/home/anna, and/or /home, /tmp, ./tmp/x, ~/tmp/y",
)


def kinds(found: list[Finding]) -> list[tuple[str, str, str]]:
    """Give what findings say, in few words."""
    return [(one.file, one.place, one.kind) for one in found]


@pytest.mark.parametrize("kind", SECRETS)
def test_keys_are_found_by_their_form(kind: str) -> None:
    """In a text, in JSON and in a cell of a table; the line is told, the key is not."""
    secret = SECRETS[kind]
    text = f"first\nsecond\n  key: {secret}, and so on\n"
    found = find_leaks({"a.txt": text.encode(), "b.json": json.dumps({"x": [secret]}, indent=1).encode()}, NOTHING)
    assert kinds(found) == [("a.txt", "line 3", kind), ("b.json", "line 3", kind)]
    assert all(one.is_secret for one in found)
    assert secret not in str(found)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_speaks_of_keys_and_paths_passes(text: str) -> None:
    """Examples of documentation and words that begin like a key stop nobody."""
    assert find_leaks({"a.md": text.encode()}, NOTHING) == []


def test_texts_in_tables_are_found_however_deep(tmp_path: Path) -> None:
    """Rows, nested lists and structs, and the schema's own notes, compressed as they are."""
    secret = SECRETS["an API key (sk-...)"]
    nested: list[dict[str, Any]] = [{"turns": [{"text": "fine", "all": ["x"]}]} for _ in range(700)]
    nested[603] = {"turns": [{"text": "fine", "all": ["x", f"see {secret}"]}, {"text": "/home/anna/x", "all": []}]}
    table = pa.Table.from_pylist(nested).replace_schema_metadata({"made at": "/home/anna/runs"})
    pq.write_table(table, tmp_path / "rows.parquet", compression="gzip", write_statistics=False)
    assert secret.encode() not in (tmp_path / "rows.parquet").read_bytes()
    found = find_leaks({"data/rows.parquet": tmp_path / "rows.parquet"}, NOTHING)
    assert [(one.place, one.kind, one.n) for one in found] == [
        ("row 604, column 'turns'", "an API key (sk-...)", 1),
        ("the table's schema", "a path in a home folder", 2),
    ]


def test_values_of_secret_variables_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment, of a file .env and of the hub's login; in texts, as JSON writes them, and among numbers."""
    from huggingface_hub import constants

    (tmp_path / "login").write_text("the-saved-login-value\n", "utf-8")
    (tmp_path / ".env").write_text("OPENROUTER_API_KEY=from-the-env-file\nPLAIN=not a secret\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "login"))
    monkeypatch.setenv("MY_SERVICE_PASSWORD", 'pass "with" quotes é')
    monkeypatch.setenv("SHORT_KEY", "none")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "login"))
    known = gather_known(tmp_path)
    told = {"MY_SERVICE_PASSWORD", "OPENROUTER_API_KEY in .env"}
    assert {f"the value of {name}" for name in told} | {"the saved login of Hugging Face"} <= set(known.secrets)
    assert not {"the value of SHORT_KEY", "the value of KEY_FILE", "the value of PLAIN in .env"} & set(known.secrets)
    write_weights(tmp_path / "model.safetensors", numbers=b"\x00\x01the-saved-login-value\xff")
    files = {
        "a.json": json.dumps({"x": ["from-the-env-file", 'pass "with" quotes é']}, indent=1).encode(),
        "model.safetensors": tmp_path / "model.safetensors",
    }
    found = {(one.file, one.kind): one.place for one in find_leaks(files, known)}
    assert found[("a.json", "the value of OPENROUTER_API_KEY in .env")] == "line 3"
    assert found[("a.json", "the value of MY_SERVICE_PASSWORD")] == "line 4"
    assert found[("model.safetensors", "the saved login of Hugging Face")].startswith("byte ")


def test_the_header_of_weights_is_read_as_text(tmp_path: Path) -> None:
    """What a safetensors file says beside its numbers; numbers that look like a path are numbers."""
    write_weights(tmp_path / "a.safetensors", note="/home/anna/base", numbers=b"/home/anna/x/tmp/y")
    found = find_leaks({"a.safetensors": tmp_path / "a.safetensors"}, NOTHING)
    assert kinds(found) == [("a.safetensors", "the header", "a path in a home folder")]
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(UserError, match=r"b\.safetensors: is no safetensors file"):
        find_leaks({"b.safetensors": tmp_path / "b.safetensors"}, NOTHING)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("in {run}/data", "a path of the run's own folder"),
        ("in {home}/notes.txt", "a path in your home folder"),
        ("{tmp}/x and {tmp}/y", "a path in this machine's temporary folder"),
        ("'/home/anna/models'", "a path in a home folder"),
        ("file:///Users/anna/x", "a path in a home folder"),
        (r'"C:\\Users\\anna\\x"', "a path in a home folder"),
        ("(/tmp/tmpab12/x)", "a path in a temporary folder"),
        ("/var/folders/zz/x", "a path in a temporary folder"),
    ],
)
def test_paths_of_this_machine_are_found(text: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's folder, homes and temporary folders; none of it is a secret."""
    home, tmp = tmp_path / "someone", tmp_path / "scratch"
    tmp.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp))
    known = gather_known(tmp_path / "run")
    known = Known({}, known.folders)
    text = text.replace("{run}", str(tmp_path / "run")).replace("{home}", str(home)).replace("{tmp}", str(tmp))
    found = find_leaks({"x.md": f"\n{text}\n".encode()}, known)
    assert (found[0].place, found[0].kind, found[0].is_secret) == ("line 2", kind, False)


def test_nothing_is_lost_between_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a window ends, what lies across its end is found, once, with its line."""
    secret = SECRETS["a key of AWS (AKIA...)"]
    monkeypatch.setattr(leaks, "_WINDOW", 64)
    monkeypatch.setattr(leaks, "_OVERLAP", 32)
    for shift in range(130):
        path = tmp_path / "long.txt"
        path.write_bytes("é\n".encode() * 20 + b"." * shift + b"\n" + secret.encode() + b"\n" + b"x" * 90)
        (found,) = find_leaks({"long.txt": path}, NOTHING)
        assert (found.place, found.n) == ("line 22", 1)


def test_secrets_come_first_and_each_kind_once() -> None:
    """Of many places the first is told, with how many there are."""
    text = "/home/a/x\n" * 3 + SECRETS["an API key (sk-...)"] + "\n"
    first, second = find_leaks({"x.md": text.encode()}, NOTHING)
    assert first.is_secret
    assert str(second) == "x.md, line 1: a path in a home folder (and 2 more)"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A table that is none, and a file that is not there."""
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"x\.parquet: is no table"):
        find_leaks({"x.parquet": tmp_path / "x.parquet"}, NOTHING)
    with pytest.raises(UserError, match=r"gone\.json: cannot be read"):
        find_leaks({"gone.json": tmp_path / "gone.json"}, NOTHING)

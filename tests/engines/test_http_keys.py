from __future__ import annotations

from pathlib import Path

import pytest

from charter.engines.http.keys import find_key
from charter.engines.http.servers import SERVERS, Server, find_server
from charter.errors import ModelError

KEY = "sk-planted-0123456789"
OTHER = "sk-other-9876543210"


@pytest.fixture(autouse=True)
def empty_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no server's key in the environment."""
    monkeypatch.chdir(tmp_path)
    for server in SERVERS.values():
        for name in server.key_names:
            monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_usual_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named server's key lies in its usual variable; blanks around it are none of it."""
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert find_key(SERVERS["openai"]) == ("OPENAI_API_KEY", KEY)


def test_a_file_beside_the_work_is_read(empty_desk: Path) -> None:
    """A file .env holds keys as well, as they are written."""
    (empty_desk / ".env").write_text(f"# keys\nHF_TOKEN='{KEY}'\nODD=sk-${{HOME}}-x\n")
    assert find_key(SERVERS["huggingface"]) == ("HF_TOKEN", KEY)
    assert find_key(SERVERS["openai"], "ODD") == ("ODD", "sk-${HOME}-x")


def test_the_environment_comes_before_the_file(empty_desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for one command counts more than what lies there; what is set to nothing does not count."""
    (empty_desk / ".env").write_text(f"HF_TOKEN={OTHER}\n")
    monkeypatch.setenv("HF_TOKEN", KEY)
    assert find_key(SERVERS["huggingface"])[1] == KEY
    monkeypatch.setenv("HF_TOKEN", "")
    assert find_key(SERVERS["huggingface"])[1] == OTHER


def test_a_named_variable_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a variable means no other, also where the usual one is set."""
    monkeypatch.setenv("OPENAI_API_KEY", OTHER)
    monkeypatch.setenv("MY_KEY", KEY)
    assert find_key(SERVERS["openai"], "MY_KEY") == ("MY_KEY", KEY)
    assert find_key(find_server("https://host/v1"), "MY_KEY") == ("MY_KEY", KEY)


def test_the_first_variable_that_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may have several names for its key."""
    server = Server("two", key_names=("FIRST_KEY", "SECOND_KEY"), needs_key=True)
    monkeypatch.setenv("SECOND_KEY", OTHER)
    assert find_key(server) == ("SECOND_KEY", OTHER)
    monkeypatch.setenv("FIRST_KEY", KEY)
    assert find_key(server) == ("FIRST_KEY", KEY)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_said_where_one_is_needed(
    empty_desk: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """The message names the variable and the file that may hold it."""
    if value is not None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(
        ModelError, match=r"no key for openai: set .* OPENAI_API_KEY, or put OPENAI_API_KEY="
    ) as missing:
        find_key(SERVERS["openai"])
    assert str(empty_desk) in str(missing.value)


def test_a_missing_key_is_said_where_its_variable_is_named() -> None:
    """Who names a variable wants a key to be sent, also to a server that needs none."""
    with pytest.raises(ModelError, match="set the environment variable MY_KEY"):
        find_key(SERVERS["vllm"], "MY_KEY")


def test_a_server_that_needs_no_key_gets_the_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local servers are asked without a key, or with theirs."""
    assert find_key(SERVERS["vllm"]) == ("VLLM_API_KEY", None)
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    assert find_key(SERVERS["vllm"]) == ("VLLM_API_KEY", KEY)


@pytest.mark.parametrize("where", ["https://api.openai.com/v1", "http://localhost:8000/v1", "https://elsewhere/v1"])
def test_no_key_goes_to_a_mere_address(empty_desk: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Whose key would go where, nobody has said: it stays here, wherever it lies."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (empty_desk / ".env").write_text(f"OPENAI_API_KEY={OTHER}\n")
    assert find_key(find_server(where)) == ("CHARTER_SERVER_KEY", None)


@pytest.mark.parametrize("value", [f"{KEY} {KEY}", f"{KEY}\nX-Other: 1", "sk-schlüssel-123", f"{KEY}\x07"])
def test_what_cannot_be_a_key_is_refused_and_not_quoted(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A key that was copied with something else would be sent as it is, or break the request."""
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ModelError, match="the key in OPENAI_API_KEY holds characters that no key has") as refused:
        find_key(SERVERS["openai"])
    assert "sk-" not in str(refused.value)


def test_a_file_that_is_no_text_is_said(empty_desk: Path) -> None:
    """What cannot be read is named, not passed over: a key may be in it."""
    (empty_desk / ".env").write_bytes(b"OPENAI_API_KEY=\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"\.env cannot be read"):
        find_key(SERVERS["openai"])


def test_a_missing_key_names_the_server_as_the_recipe_does() -> None:
    """Of one that is named by its address there is no other name."""
    with pytest.raises(ModelError, match="there is no key for http://localhost:9/v1: set the environment variable MY"):
        find_key(find_server("http://localhost:9/v1"), "MY_KEY")


@pytest.mark.parametrize("name", [KEY, "hf_PlantedPlantedPlanted", "gsk_planted1"])
def test_a_key_in_a_names_place_is_refused_and_not_quoted(name: str) -> None:
    """It would be told in every message that names the variable."""
    with pytest.raises(ModelError, match="key_name is no name of an environment variable in capitals") as refused:
        find_key(SERVERS["openai"], name)
    assert name not in str(refused.value)

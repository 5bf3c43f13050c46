from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.http.servers import SERVERS, Server, find_server, is_local, recognise
from charter.errors import ModelError


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_known_servers_are_found_by_name(name: str) -> None:
    """A name stands for an address, whose key is looked for in a variable of its own."""
    server = find_server(name)
    assert server is SERVERS[name]
    assert find_server((name,)) is server
    assert server.base_urls
    assert server.key_names
    assert all(url.startswith(("https://", "http://localhost:")) for url in server.base_urls)


def test_hosted_servers_want_a_key_and_local_ones_do_not() -> None:
    """Who is not on this machine answers nobody without a key."""
    for server in SERVERS.values():
        assert server.needs_key != all(is_local(url) for url in server.base_urls)


def test_addresses_make_a_server_of_no_known_kind() -> None:
    """An address is taken as it is, but for a slash at its end; several share the load, each once."""
    server = find_server("http://10.0.0.1:8000/v1/")
    assert (server.name, server.base_urls, server.needs_key) == ("compatible", ("http://10.0.0.1:8000/v1",), False)
    several = find_server(("https://a.example/v1", "https://b.example/v1", "https://a.example/v1/"))
    assert several.base_urls == ("https://a.example/v1", "https://b.example/v1")


@pytest.mark.parametrize(
    ("where", "is_told"),
    [
        ("https://a1b2.eu-west-1.aws.endpoints.huggingface.cloud/v1", True),
        ("http://a1b2.eu-west-1.aws.endpoints.huggingface.cloud/v1", False),
        ("https://endpoints.huggingface.cloud.example/v1", False),
        ("https://fake-endpoints.huggingface.cloud/v1", False),
        (("https://a.endpoints.huggingface.cloud/v1", "https://b.example/v1"), False),
    ],
)
def test_the_hubs_token_goes_to_its_endpoints_alone(where: str | tuple[str, ...], is_told: bool) -> None:
    """A dedicated endpoint takes it, over an encrypted connection; no other address is told it."""
    assert ("HF_TOKEN" in find_server(where).key_names) == is_told


@pytest.mark.parametrize(
    "where",
    ["localhost:8000", "", "opena1", "ftp://a/v1", "http:///v1", "http://[::1", "http://a:99999/v1", "http://a b"],
)
def test_what_is_no_server_is_refused(where: str) -> None:
    """Neither a known name nor an address: the message quotes it and says what would do."""
    with pytest.raises(ModelError, match=r"expected one of openai.*http://localhost:8000/v1") as refused:
        find_server(where)
    assert repr(where) in str(refused.value)


def test_a_near_name_is_named() -> None:
    """A mistyped name is set right."""
    with pytest.raises(ModelError, match='did you mean "llama-server"'):
        find_server("lama-server")


def test_several_names_are_refused() -> None:
    """Only addresses can be several: two kinds of servers are two models."""
    with pytest.raises(ModelError, match="'vllm' is no server"):
        find_server(("vllm", "ollama"))
    with pytest.raises(ModelError, match="no server is named"):
        find_server(())


@pytest.mark.parametrize(
    "where",
    [
        "https://me:hunter2hunter2@host/v1",
        "https://hunter2hunter2@host/v1",
        "ftp://me:hunter2hunter2@host",
        "me:hunter2hunter2@host/v1",
        "http://me:hunter2hunter2@[::1",
        "https://host/v1?key=hunter2hunter2",
        "https://host/v1#hunter2hunter2",
    ],
)
def test_an_address_with_credentials_is_refused_and_not_quoted(where: str) -> None:
    """Addresses are written into runs: none that holds a secret gets that far, nor into the message."""
    with pytest.raises(ModelError, match="put the key into an environment variable") as refused:
        find_server(where)
    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_a_server_or_refused_in_words(where: str) -> None:
    """No text brings anything but a server or a message."""
    try:
        found = find_server(where)
    except ModelError:
        return
    assert found.base_urls


def test_a_server_by_address_is_recognised_by_what_it_says() -> None:
    """Its list of models tells the kind, from which it takes all but the addresses; a named one stays what it is."""
    found = recognise(find_server(("http://a/v1", "http://b/v1")), "llamacpp")
    assert (found.name, found.n_top, found.base_urls) == ("llama-server", 100, ("http://a/v1", "http://b/v1"))
    assert recognise(find_server("https://a/v1"), "system").limit_key == "max_completion_tokens"
    assert not recognise(find_server("https://a/v1"), "system").needs_key
    assert recognise(find_server("http://a/v1"), "somebody").name == "compatible"
    assert recognise(find_server("http://a/v1"), "").name == "compatible"
    assert recognise(SERVERS["vllm"], "llamacpp") is SERVERS["vllm"]


def test_no_two_kinds_call_themselves_alike() -> None:
    """What a server calls itself is of one kind."""
    owners = [owner for server in SERVERS.values() for owner in server.owners]
    assert len(owners) == len(set(owners))
    assert "" not in owners


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://[::1]:80/v1", True),
        ("https://localhost.example/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_addresses_of_this_machine_are_known(url: str, expected: bool) -> None:
    """What is on this machine is said by the host alone."""
    assert is_local(url) is expected


def test_a_server_says_nothing_of_itself_by_default() -> None:
    """What nothing is known of is asked with what all servers take."""
    plain = Server("x")
    assert (plain.limit_key, plain.n_top, plain.n_stops, dict(plain.untruncated)) == ("max_tokens", 20, 4, {})

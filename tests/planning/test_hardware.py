from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from charter.errors import RecipeError, UserError
from charter.planning.hardware import Factors, Machine, Range, built_in_text, find_machine, read_devices

OWN = """\
devices:
  attic: {kind: gpu, memory_gib: 12, bfloat16_tflops: 50, bandwidth_gbs: 400, link_gbs: 16, power_watts: 0,
    host_gib: 32, price_per_hour: 0}
"""


def own_file(folder: Path, text: str) -> Path:
    """Write a file of devices."""
    path = folder / "own.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "name", "n"),
    [("h200", "h200", 1), ("h200x8", "h200", 8), ("rtx4090", "rtx4090", 1), ("rtx4090x2", "rtx4090", 2)],
)
def test_a_machine_is_named_by_device_and_number(text: str, name: str, n: int) -> None:
    """An x in a device's own name is no number."""
    machine = find_machine(text, read_devices())
    assert (machine.device.name, machine.n, machine.name) == (name, n, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h20x8", r"--hardware is 'h20x8'; expected NAME or NAMExN with one of h200, .*did you mean \"h200\"\?"),
        ("h200x0", "expected 1 to 100,000 devices"),
        ("", "expected NAME or NAMExN"),
        ("h200x-1", "expected NAME or NAMExN"),
        ("h200x\N{SUPERSCRIPT TWO}", "expected NAME or NAMExN"),
        ("h200x\N{ARABIC-INDIC DIGIT TWO}", "expected NAME or NAMExN"),
    ],
)
def test_an_unknown_machine_is_refused(text: str, message: str) -> None:
    """What is known is listed, with the nearest."""
    with pytest.raises(UserError, match=message):
        find_machine(text, read_devices())


def test_the_written_file_reads_back(tmp_path: Path) -> None:
    """A copy of our file is a file of one's own."""
    assert read_devices(own_file(tmp_path, built_in_text())) == read_devices()


def test_own_devices_stand_beside_ours_and_in_their_place(tmp_path: Path) -> None:
    """A file may add one device, with the factors of its kind, and replace another."""
    devices = read_devices(own_file(tmp_path, OWN + OWN.partition("\n")[2].replace("attic", "l4")))
    assert devices["attic"].memory == devices["l4"].memory == 12 * 2**30
    assert devices["attic"].factors == devices["h200"].factors
    assert devices["attic"].price == 0


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("kind: gpu", "kind: tpu", r"own.yaml:2: kind is 'tpu'; expected gpu or cpu"),
        ("memory_gib: 12", "memory_gib: 0", r"own.yaml:2: memory_gib is 0; expected a number above 0"),
        (
            "price_per_hour: 0",
            "price_per_hour: -1",
            r"own.yaml:3: price_per_hour is -1; expected a number of 0 or more",
        ),
        ("link_gbs: 16", "link_gb: 16", r"own.yaml:2: unknown key 'link_gb'; did you mean \"link_gbs\"\?"),
        ("link_gbs: 16, ", "", r"own.yaml:2: 'attic' lacks link_gbs"),
        ("link_gbs: 16", "link_gbs: 16, node_devices: 0", r"own.yaml:2: node_devices is 0; expected a number above 0"),
        ("devices:", "machines:", r"own.yaml: expected 'devices' and 'factors'"),
        ("devices:", "factors: {gpu: {prefill: [0.5, 2]}}\ndevices:", r"own.yaml:1: 'gpu' lacks attention"),
    ],
)
def test_a_wrong_file_names_the_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    """File, line, value and remedy are said."""
    with pytest.raises(RecipeError, match=message):
        read_devices(own_file(tmp_path, OWN.replace(before, after)))


@pytest.mark.parametrize("wrong", ["[0.5, 2]", "[0.6, 0.5]", "0.5", "[0, 1]", "[true, 1]"])
def test_a_share_is_a_share(tmp_path: Path, wrong: str) -> None:
    """More than all of a rate is reached by nobody."""
    text = built_in_text().replace("prefill: [0.3, 0.55]", f"prefill: {wrong}")
    with pytest.raises(RecipeError, match=r"prefill is .*; expected \[least, most\], numbers above 0 and up to 1"):
        read_devices(own_file(tmp_path, text))


def test_every_device_is_whole() -> None:
    """Each has factors with a least and a most."""
    for device in read_devices().values():
        ranges = [getattr(device.factors, one.name) for one in fields(Factors)]
        assert all(isinstance(one, Range) and one.low <= one.high for one in ranges)
    assert Machine(read_devices()["h200"], 8).host == 8 * 240 * 2**30

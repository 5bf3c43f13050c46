"""Files that somebody hostile made: constitutions, recipes, tables of prompts and folders of models.

Each is written into a folder by a function that also says by what it is read. Whatever they try would make the canary,
a file beside them.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

CANARY = "canary"
_PRINCIPLES = "name: x\nprinciples:\n- {id: a, text: Be kind.}\n"
_RECIPE = """\
name: hostile
constitution: harmless
models: {policy: {name: demo, engine: scripted}}
prompts: {n_train: 6, n_train_helpful: 6, n_evaluation: 4, n_evaluation_helpful: 4}
pairs: {n: 16}
"""

Write = Callable[[Path], object]


class Singing:
    """What makes the canary where a pickle of it is loaded."""

    def __init__(self, place: Path) -> None:
        self.path = place / CANARY

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.path}'",))


def _written(name: str, content: str | bytes) -> Write:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return lambda place: (place / name).write_bytes(data.replace(b"@CANARY@", str(place / CANARY).encode()))


def _bomb(levels: int = 12) -> str:
    rows = ['a0: &a0 ["x", "x"]', *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels))]
    return "\n".join(rows) + "\n"


_TAGS = (
    "!!python/object/apply:os.system ['touch @CANARY@']",
    "!!python/object/new:os.system ['touch @CANARY@']",
    "!!python/object/apply:subprocess.check_output [['touch', '@CANARY@']]",
    "!!python/object/apply:eval [\"open('@CANARY@', 'w')\"]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:os.stat_result {}",
    "!!python/tuple [1, 2]",
    "!!binary aGVsbG8=",
    "!include /etc/passwd",
    "!ENV ${HOME}",
)
_NUMBERS = (".inf", "-.inf", ".nan", "1e999", "-1", "0", "'1'", "true", "[1]", "9" * 400)
_EXTENDS = (
    "/etc/passwd",
    "/dev/zero",
    "../../../../../etc/shadow",
    "c.yaml",
    "file:///etc/passwd",
    "/proc/self/mem",
    "",
)

CONSTITUTIONS: dict[str, Write] = {
    **{
        f"tag {n}": _written("c.yaml", f"name: x\nprinciples:\n- {{id: a, text: {tag}}}\n")
        for n, tag in enumerate(_TAGS)
    },
    **{
        f"weight {number[:6]}": _written("c.yaml", f"name: x\nprinciples:\n- {{id: a, text: b, weight: {number}}}\n")
        for number in _NUMBERS
    },
    **{f"extends {source}": _written("c.yaml", f"{_PRINCIPLES}extends: ['{source}']\n") for source in _EXTENDS},
    "aliases that multiply": _written("c.yaml", _bomb() + _PRINCIPLES),
    "a merge key": _written("c.yaml", "b: &b {text: x}\nname: x\nprinciples:\n- {<<: *b, id: a}\n"),
    "deep brackets": _written("c.yaml", "name: " + "[" * 200_000),
    "deep JSON": _written("c.json", "[" * 200_000),
    "a number of a million digits": _written("c.json", '{"name": ' + "1" * 1_000_000 + "}"),
    "too large": _written("c.yaml", "name: x # " + "y" * 6_000_000),
    "a null in the text": _written("c.yaml", "name: x\nprinciples:\n- {id: a, text: a\x00b}\n"),
    "half a surrogate pair": _written("c.yaml", 'name: x\nprinciples:\n- {id: a, text: "\\ud800"}\n'),
    "a key twice": _written("c.yaml", f"{_PRINCIPLES}name: y\n"),
    "two documents": _written("c.yaml", f"{_PRINCIPLES}---\n{_PRINCIPLES}"),
    "another encoding": _written("c.yaml", _PRINCIPLES.encode("utf-16")),
    "no text at all": _written("c.yaml", bytes(range(256)) * 10),
    "gzip under another name": _written("c.yaml", gzip.compress(_PRINCIPLES.encode())),
    "a link to a device": lambda place: (place / "c.yaml").symlink_to("/dev/zero"),
    "a link to itself": lambda place: (place / "c.yaml").symlink_to("c.yaml"),
    "a pickle": lambda place: (place / "c.yaml").write_bytes(pickle.dumps(Singing(place))),
    "an id that is a path": _written("c.yaml", "name: x\nprinciples:\n- {id: ../../canary, text: b}\n"),
    "an unknown key": _written("c.yaml", f"{_PRINCIPLES}__class__: {{}}\n"),
}

_SETTINGS = (
    "name: ../../canary",
    "name: /tmp/canary",
    "name: '..'",
    "name: ''",
    'name: "a\\nb"',
    "seed: -1",
    "seed: 1e400",
    "seed: .nan",
    "iterations: 1000000000",
    "revise: {rounds: 1000000000}",
    "revise: {n_samples: -5}",
    "label: {k_principles: 0}",
    "label: {min_option_mass: .nan}",
    "label: {clamp: [0.9, 0.1]}",
    "sft: {learning_rate: .inf}",
    "sft: {lora: {r: -1}}",
    "dpo: {beta: .nan}",
    "prompts: {red_team: /etc/passwd}",
    "prompts: {red_team: /dev/zero}",
    "prompts: {red_team: ../../../../../../etc/shadow}",
    "prompts: {n_train: 1000000000000}",
    "evaluate: {multiple_choice: [/etc/passwd]}",
    "constitution: {source: /dev/zero}",
    "data_dir: /proc/self",
    "models: {policy: {name: ../../../../etc, engine: transformers}}",
    "models: {policy: {name: x, engine: http, server: 'file:///etc/passwd'}}",
    "models: {policy: {name: x, engine: http, server: 'http://u:p@127.0.0.1:9/v1'}}",
    "models: {policy: {name: x, engine: http, server: 'http://127.0.0.1:9/v1?key=secret'}}",
    "models: {policy: {name: x, engine: http, server: openai, key_name: sk-planted0123456789}}",
    "models: {policy: {name: x, engine: os.system}}",
    "models: {policy: {name: x, engine: scripted, trust_remote_code: yes please}}",
    "models: []",
    "pairs: {kinds: {red_team: .nan, helpful: 1}}",
    "budget: {prices: /etc/passwd, money: 1}",
    "__import__('os').system('touch @CANARY@'): 1",
    "models: !!python/object/apply:os.system ['touch @CANARY@']",
    "models: {policy: *nowhere}",
)


def _with_setting(setting: str) -> Write:
    """Write the recipe with one line of it, or one more, as somebody hostile has it."""
    key = setting.partition(":")[0]
    kept = [line for line in _RECIPE.splitlines() if line.partition(":")[0] != key]
    return _written("r.yaml", "\n".join([*kept, setting]) + "\n")


RECIPES: dict[str, Write] = {f"{n}: {setting[:40]}": _with_setting(setting) for n, setting in enumerate(_SETTINGS)} | {
    "aliases that multiply": _written("r.yaml", _bomb() + _RECIPE),
    "a pickle": lambda place: (place / "r.yaml").write_bytes(pickle.dumps(Singing(place))),
    "a link to a device": lambda place: (place / "r.yaml").symlink_to("/dev/zero"),
    "deep brackets": _written("r.yaml", "name: " + "[" * 200_000),
}


def _parquet_of_many_rows(place: Path) -> None:
    """A billion times the same word, in some kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000_000, pa.int8()), pa.array(["x" * 1000]))
    table = pa.table({"prompt": column})
    with pq.ParquetWriter(place / "t.parquet", table.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(table)


def _saved_dataset(place: Path) -> None:
    """A saved dataset whose papers name a pickle, and a file elsewhere."""
    folder = place / "t"
    folder.mkdir()
    (folder / "data.arrow").write_bytes(pickle.dumps(Singing(place)))
    state = {"_data_files": [{"filename": "../../../../etc/passwd"}], "_format_type": None, "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))


def _torn_parquet(place: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a", "b"]}), made)
    data = bytearray(made.getvalue())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2 - 8) + data[-8:]
    (place / "t.parquet").write_bytes(data)


TABLES: dict[str, Write] = {
    "a null byte": _written("t.csv", 'prompt\n"a\x00b"\n"c'),
    "a quote that never ends": _written("t.csv", 'prompt\n"a\n' * 1000),
    "a cell of 11 MB": _written("t.csv", f"prompt\n{'x' * 11_000_000}\n"),
    "a column twice": _written("t.csv", "prompt,prompt\na,b\n"),
    "more cells than columns": _written("t.csv", "prompt\na,b,c\n"),
    "no rows": _written("t.csv", "prompt\n"),
    "nothing": _written("t.csv", ""),
    "another encoding": _written("t.csv", "prompt\na\n".encode("utf-16")),
    "latin letters": _written("t.csv", b"prompt\ncaf\xe9\n"),
    "no column of prompts": _written("t.csv", "__class__,__init__\na,b\n"),
    "gzip that is none": _written("t.csv.gz", "prompt\na\n"),
    "gzip that is cut off": _written("t.csv.gz", gzip.compress(b"prompt\n" + b"a\n" * 1000)[:-20]),
    "gzip of 200 MB": _written("t.csv.gz", gzip.compress(b"prompt\n" + b"a" * 200_000_000)),
    "a pickle as CSV": lambda place: (place / "t.csv").write_bytes(pickle.dumps(Singing(place))),
    "a pickle as Parquet": lambda place: (place / "t.parquet").write_bytes(pickle.dumps(Singing(place))),
    "a pickle by its name": lambda place: (place / "t.pkl").write_bytes(pickle.dumps(Singing(place))),
    "a torn Parquet": _torn_parquet,
    "a Parquet of 200 million rows": _parquet_of_many_rows,
    "a saved dataset with a pickle": _saved_dataset,
    "deep JSON": _written("t.jsonl", "[" * 1_000_000),
    "deep rows": _written("t.json", json.dumps([{"prompt": "a", "x": json.loads("[" * 60 + "]" * 60)}])),
    "a number of a million digits": _written("t.jsonl", "1" * 1_000_000),
    "half a surrogate pair": _written("t.jsonl", '{"prompt": "\\ud800"}\n'),
    "a key twice": _written("t.jsonl", '{"prompt": "a", "prompt": "b"}\n'),
    "a torn line": _written("t.jsonl", '{"prompt": "a"}\n{"prompt": "b'),
    "prompts that are none": _written("t.jsonl", '{"prompt": {"__class__": "os"}}\n'),
    "rows that are none": _written("t.json", '[1, 2, "", null]'),
    "a link to a device": lambda place: (place / "t.csv").symlink_to("/dev/zero"),
    "a link to itself": lambda place: (place / "t.csv").symlink_to("t.csv"),
    "a link to nowhere": lambda place: (place / "t.csv").symlink_to("nowhere.csv"),
}


def _changed(file: str, **values: Any) -> Callable[[Path, Path], None]:
    """Change keys of one of a model's JSON files."""

    def change(model: Path, place: Path) -> None:
        del place
        path = model / file
        before = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps(before | values), "utf-8")

    return change


def _put(file: str, content: bytes | str | None = None) -> Callable[[Path, Path], None]:
    """Put a file into a model's folder; without a content a pickle."""

    def put(model: Path, place: Path) -> None:
        data = pickle.dumps(Singing(place)) if content is None else content
        (model / file).parent.mkdir(parents=True, exist_ok=True)
        (model / file).write_bytes(data if isinstance(data, bytes) else data.encode())

    return put


def _pickled(name: str) -> Callable[[Path, Path], None]:
    """Have weights as a pickle alone."""

    def change(model: Path, place: Path) -> None:
        (model / "model.safetensors").unlink()
        _put(name)(model, place)

    return change


def _weights(header: object, body: bytes = b"", length: int | None = None) -> Callable[[Path, Path], None]:
    """Write weights by hand, of which the header may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _put("model.safetensors", struct.pack("<Q", len(text) if length is None else length) + text + body)


def _template(text: str) -> Callable[[Path, Path], None]:
    def put(model: Path, place: Path) -> None:
        (model / "chat_template.jinja").write_text(text.replace("@CANARY@", str(place / CANARY)))

    return put


def _mapped(target: str) -> Callable[[Path, Path], None]:
    """Have an index of weights name a file elsewhere."""

    def change(model: Path, place: Path) -> None:
        del place
        (model / "model.safetensors").rename(model / "model-1.safetensors")
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": target}}))

    return change


def _adapter(**values: Any) -> Callable[[Path, Path], None]:
    """Have the folder be an adapter's."""

    def change(model: Path, place: Path) -> None:
        del place
        (model / "config.json").unlink()
        shutil.move(model / "model.safetensors", model / "adapter_model.safetensors")
        (model / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | values))

    return change


_OS = "cycler.__init__.__globals__.os"
_CODE = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.Tok", None]}
_F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

#: What is done to a sound model's folder, so that it is refused.
MODELS: dict[str, Callable[[Path, Path], None]] = {
    **{f"pickle {name}": _pickled(name) for name in ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt")},
    "a pickle under the name of safetensors": _put("model.safetensors"),
    "code of the model": _changed("config.json", auto_map=_CODE),
    "code of the tokenizer": _changed("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tok", None]}),
    "code of another repository": _changed("config.json", auto_map={"AutoModel": "owner/name--evil.Model"}),
    "a header longer than the file": _weights({"w": _F32}, bytes(8), length=2**40),
    "a header of a petabyte": _weights({}, b"", length=2**50),
    "a header that is no JSON": _weights(b"{" * 1000),
    "a deep header": _weights(b'{"a":' * 100_000),
    "offsets beyond the end": _weights({"w": _F32 | {"data_offsets": [0, 2**60]}}, bytes(8)),
    "offsets that overlap": _weights({"w": _F32, "v": _F32}, bytes(8)),
    "a shape of 2^63": _weights({"w": _F32 | {"shape": [2**62, 2]}}, bytes(8)),
    "a negative shape": _weights({"w": _F32 | {"shape": [-2]}}, bytes(8)),
    "an unknown type of number": _weights({"w": _F32 | {"dtype": "object"}}, bytes(8)),
    "an index that names what is not there": _mapped("../../nowhere.safetensors"),
    "an index that names a text": _mapped("../../../../../../etc/passwd"),
    "an index that names a device": _mapped("/dev/zero"),
    "an index of numbers": lambda model, _: (
        (model / "model.safetensors.index.json").write_text('{"weight_map": {"a": 1, "b": "c", "d": null}}'),
        None,
    )[1],
    "a deep configuration": _put("config.json", "[" * 100_000),
    "a configuration that is a list": _put("config.json", "[]"),
    "a deep tokenizer": _put("tokenizer.json", '{"a":' * 100_000),
    "a tokenizer that is a pickle": _put("tokenizer.json"),
    "an unknown architecture": _changed("config.json", model_type="evil", architectures=["os.system"]),
    "a vocabulary of 10^12": _changed("config.json", vocab_size=10**12),
    "10^9 layers": _changed("config.json", num_hidden_layers=10**9),
    "no width": _changed("config.json", hidden_size=0),
    "a negative width": _changed("config.json", hidden_size=-64),
    "no numbers at all": _changed("config.json", hidden_size="os.system('x')"),
    "an adapter of nothing": _adapter(),
    "an adapter of a device": _adapter(base_model_name_or_path="/dev/zero"),
    "an adapter of itself": _adapter(base_model_name_or_path="."),
    "an adapter of a path above": _adapter(base_model_name_or_path="../../../../../../etc"),
    "a template that reaches for the system": _template("{{ " + _OS + ".popen('touch @CANARY@').read() }}"),
    "a template that reaches for classes": _template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "a template that imports": _template("{% import 'os' as os %}{{ os.system('touch @CANARY@') }}"),
    "a template that includes a file": _template("{% include '/etc/passwd' %}"),
    "a template that is none": _template("{% for x in messages %}"),
    "a template that calls itself": _template("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    "a template of a long range": _template("{% for x in range(10 ** 9) %}x{% endfor %}"),
    "a template that divides by nothing": _template("{{ 1 // 0 }}"),
    "a template that counts with words": _template("{{ messages[0].content + 1 }}"),
    "a template that changes messages": _template("{% set _ = messages.append(1) %}{{ messages }}"),
}
#: Templates that would take all time or memory: each is tried in a process of its own.
ENDLESS: dict[str, Callable[[Path, Path], None]] = {
    "a template of loops in loops": _template(
        "{% for x in range(99999) %}{% for y in range(99999) %}{% for z in range(99999) %}"
        "{% endfor %}{% endfor %}{% endfor %}"
    ),
    "a template that doubles a text": _template(
        "{% set n = namespace(t='x' * 1000) %}{% for x in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}"
    ),
    "a template of a long text": _template("{{ 'x' * (10 ** 12) }}"),
    "a template of a large power": _template("{{ 9 ** (9 ** 9) }}"),
}

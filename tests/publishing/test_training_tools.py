"""What is exported for a tool that trains, read by that tool itself up to what it would train on."""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from charter.publishing import export_rows
from charter.records import Message, Preference, Prompt, Round, SftRow, Trace
from pages import DOCS, blocks

pytestmark = pytest.mark.model

ODD = ' {braces} 100 %: "a"\n\u2028 and two spaces  '
TALKS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", ODD),),
    (("system", "You cook."), ("user", "Is soap food?")),
    (("user", "Rain?"), ("assistant", "It depends."), ("user", "On what?")),
)
#: A reader may take white space from an answer's ends; ours has none there.
GOOD = ("No.\n\n- {0} is: no", "It is not food: wash with it.", "On the clouds \u2014 and %s.")
BAD = ("Yes.", "Eat it.", "Who knows?")
HELD_OUT = "May I see the exam?"
WHY = "it wants other versions than the rest: make tools"


def prompts() -> list[Prompt]:
    """Give the prompts: single, behind a system text, in several turns."""
    return [
        Prompt(id=f"p{number}", turns=tuple(Message(role=role, content=text) for role, text in talk), kind="helpful")  # type: ignore[arg-type]
        for number, talk in enumerate(TALKS)
    ]


def preference(prompt: Prompt, chosen: str, rejected: str) -> Preference:
    """Make a preference."""
    return Preference(
        id=f"f{prompt.id}", prompt=prompt, chosen=chosen, rejected=rejected, p_chosen=0.9, source="on_policy",
        verdicts=(), pair=prompt.id, chosen_side="a", p_judge=0.9, position_bias=0.0,
    )  # fmt: skip


def export(folder: Path, layout: Any) -> Path:
    """Write SFT rows and preferences in a layout; one of the preferences is about a held-out prompt."""
    sft = [
        SftRow(id=f"s{one.id}", prompt=one, response=text, origin="revision 1")
        for one, text in zip(prompts(), GOOD, strict=True)
    ]
    preferences = [preference(*row) for row in zip(prompts(), GOOD, BAD, strict=True)]
    question = (Message(role="user", content=HELD_OUT),)
    held_out = Prompt(id="held", turns=question, kind="red_team", split="evaluation")
    rows: Any = {"sft": sft, "preferences": [*preferences, preference(held_out, "No.", "Yes.")]}
    export_rows(rows, folder, layout)
    return folder


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    # What a tool prepared of an earlier export would be taken for that of this one.
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    """Give a tokenizer whose template is ChatML; some of the tools write their own into it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def documented(title: str) -> dict[str, Any]:
    """Read the configuration that our documentation gives for a tool."""
    (found,) = [one for one in blocks(DOCS / "formats" / "training-tools.md") if one.title == title]
    return dict(yaml.safe_load(found.text))


@pytest.fixture(scope="module")
def handbook() -> Any:
    """Import the alignment handbook's reader, but not its package: that asks the hub for a benchmark at once."""
    from importlib.util import find_spec

    found = find_spec("alignment")
    if found is None:
        pytest.skip(WHY)
    package = ModuleType("alignment")
    package.__path__ = list(found.submodule_search_locations or [])
    sys.modules["alignment"] = package
    return importlib.import_module("alignment.data")


def begun(talk: Sequence[tuple[str, str]]) -> str:
    """Write a conversation in ChatML up to where the answer begins."""
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in talk) + "<|im_start|>assistant\n"


def learnt(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> tuple[str, str]:
    """Give what is read before the first label, and all that is learnt."""
    first = next(place for place, label in enumerate(labels) if label != -100)
    told = [one for one, label in zip(ids, labels, strict=True) if label != -100]
    return tokenizer.decode(ids[:first]), tokenizer.decode(told).removesuffix("\n")


SFT_EXPECTED = [(begun(talk), f"{answer}<|im_end|>") for talk, answer in zip(TALKS, GOOD, strict=True)]


@pytest.mark.parametrize("layout", ["trl", "trl-standard"])
def test_trl_trains_on_what_was_exported(layout: str, tiny_model: Path, tokenizer: Any, tmp_path: Path) -> None:
    """SFTTrainer learns the response alone, and DPOTrainer holds both answers against the same prompt."""
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
    from trl.data_utils import is_conversational

    folder = export(tmp_path / "out", layout)
    rows = {
        name: load_dataset("json", data_files=str(folder / f"{name}.jsonl"), split="train")
        for name in ("sft", "preferences")
    }
    assert all(is_conversational(one[0]) is (layout == "trl") for one in rows.values())
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    kept: dict[str, Any] = {
        "output_dir": str(tmp_path / "trained"), "max_length": 512, "use_cpu": True, "bf16": False, "report_to": [],
        "disable_tqdm": True, "activation_checkpointing": False,
    }  # fmt: skip
    sft = SFTTrainer(model, SFTConfig(**kept), train_dataset=rows["sft"], processing_class=tokenizer)
    found = [learnt(tokenizer, one["input_ids"], one["labels"]) for one in sft.train_dataset]
    texts = [(one.text, answer) for one, answer in zip(prompts(), GOOD, strict=True)]
    assert found == (SFT_EXPECTED if layout == "trl" else [(text, f"{good}<|im_end|>") for text, good in texts])
    dpo = DPOTrainer(model, args=DPOConfig(**kept), train_dataset=rows["preferences"], processing_class=tokenizer)
    sides = [
        tuple(tokenizer.decode(one[f"{name}_ids"]).removesuffix("\n") for name in ("prompt", "chosen", "rejected"))
        for one in dpo.train_dataset
    ]
    begin = [begun(talk) for talk in TALKS] if layout == "trl" else [text for text, _ in texts]
    assert sides == [
        (prompt.removesuffix("\n"), f"{good}<|im_end|>", f"{bad}<|im_end|>")
        for prompt, good, bad in zip(begin, GOOD, BAD, strict=True)
    ]


def test_the_alignment_handbook_reads_its_splits(handbook: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Its mixer finds the splits that its recipes name, and its formatting gives whole conversations and pairs."""
    folder = export(tmp_path / "out", "alignment-handbook")
    kept = ["messages", "chosen", "rejected", "prompt"]

    def mixed(*splits: str) -> Any:
        return handbook.get_datasets({str(folder): 1.0}, splits=list(splits), columns_to_keep=kept, shuffle=False)

    made = [
        handbook.apply_chat_template(dict(row), tokenizer, "sft", auto_insert_empty_system_msg=False)["text"]
        for row in mixed("train_sft")["train"]
    ]
    assert made == [f"{before}{answer}\n" for before, answer in SFT_EXPECTED]
    pairs = mixed("train_prefs", "test_prefs")
    assert [row["chosen"][0]["content"] for row in pairs["test"]] == [HELD_OUT]
    for row, talk, good, bad in zip(pairs["train"], TALKS, GOOD, BAD, strict=True):
        told = handbook.apply_chat_template(dict(row), tokenizer, "dpo", auto_insert_empty_system_msg=False)
        assert told["text_prompt"] == begun(talk).removesuffix("<|im_start|>assistant\n")
        assert [told[f"text_{side}"] for side in ("chosen", "rejected")] == [
            f"<|im_start|>assistant\n{answer}<|im_end|>\n" for answer in (good, bad)
        ]


def test_the_alignment_handbook_mixes_critiques_with_other_rows(handbook: Any, tmp_path: Path) -> None:
    """The layout of cai-conversation is a dataset of its mixer like any other, taken at a fraction."""
    one = Round(
        number=1, principle="clean", critique_request="Criticise.", critique="Rude.", revision_request="Revise.",
        revision="Wash with it.",
    )  # fmt: skip
    traces = [Trace(id=prompt.id, prompt=prompt, initial="Eat it.", rounds=(one,)) for prompt in prompts()]
    export_rows({"traces": traces}, tmp_path / "cai", "cai-conversation")
    shares = {str(tmp_path / "cai"): 0.67, str(export(tmp_path / "out", "alignment-handbook")): 1.0}
    mixed = handbook.get_datasets(shares, splits=["train_sft"], columns_to_keep=["messages"], shuffle=False)["train"]
    answers = [row["messages"][-1]["content"] for row in mixed]
    assert answers == ["Wash with it.", "Wash with it.", *GOOD]


@pytest.fixture
def quiet_axolotl(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import Axolotl so that it tells nobody, and leave logging as it was."""
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    pytest.importorskip("axolotl", reason=WHY)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("quiet_axolotl")
def test_axolotl_prepares_what_was_exported(
    tiny_model: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the configuration of our documentation it learns the last answer alone, and reads pairs."""
    from axolotl.utils.data import prepare_datasets, prepare_preference_datasets
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.enums import RLType

    monkeypatch.chdir(tmp_path)
    export(tmp_path / "exported", "axolotl")

    def settings(title: str, **besides: Any) -> Any:
        return DictDefault(
            base_model=str(tiny_model), tokenizer_config=str(tiny_model), sequence_len=512, val_set_size=0,
            dataset_prepared_path=str(tmp_path / "prepared"), dataset_num_proc=1, num_epochs=1, batch_size=1,
            micro_batch_size=1, gradient_accumulation_steps=1, world_size=1, seed=0, **documented(title) | besides,
        )  # fmt: skip

    rows, *_ = prepare_datasets(settings("axolotl_sft.yaml"), tokenizer)
    assert sorted(learnt(tokenizer, row["input_ids"], row["labels"]) for row in rows) == sorted(SFT_EXPECTED)
    pairs, _ = prepare_preference_datasets(settings("axolotl_dpo.yaml", rl=RLType.DPO), tokenizer)
    assert sorted((row["prompt"], row["chosen"], row["rejected"]) for row in pairs) == sorted(
        (begun(talk), f"{good}<|im_end|>", f"{bad}<|im_end|>") for talk, good, bad in zip(TALKS, GOOD, BAD, strict=True)
    )


@pytest.fixture
def llama_factory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import LLaMA-Factory's loader beside versions that it does not name."""
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    if "torchaudio" not in sys.modules:
        # Its loader imports it for sounds; there is no build for CPUs that fits torch's.
        silent = ModuleType("torchaudio")
        silent.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
        monkeypatch.setitem(sys.modules, "torchaudio", silent)
    return pytest.importorskip("llamafactory.data.loader", reason=WHY)


def test_llama_factory_reads_the_entries(
    llama_factory: Any, tiny_model: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the names in ``dataset_info.json`` it finds the files, and learns the last answer alone."""
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    monkeypatch.chdir(tmp_path)
    export(tmp_path / "exported", "llama-factory")
    training = Seq2SeqTrainingArguments(output_dir=str(tmp_path / "trained"), use_cpu=True, report_to=[])

    def read(name: str, stage: str) -> Any:
        settings = documented("llama_factory_sft.yaml") | {"dataset": name}
        told = DataArguments(**settings, template="chatml", cutoff_len=512, overwrite_cache=True)
        model = ModelArguments(model_name_or_path=str(tiny_model))
        template = get_template_and_fix_tokenizer(tokenizer, told)
        made = llama_factory.get_dataset(template, model, told, training, stage=stage, tokenizer=tokenizer)
        return made["train_dataset"]

    rows = read("charter_sft", "sft")
    assert [learnt(tokenizer, row["input_ids"], row["labels"]) for row in rows] == SFT_EXPECTED
    pairs = read("charter_preferences", "rm")
    for side, answers in (("chosen", GOOD), ("rejected", BAD)):
        assert [learnt(tokenizer, row[f"{side}_input_ids"], row[f"{side}_labels"]) for row in pairs] == [
            (begun(talk), f"{answer}<|im_end|>") for talk, answer in zip(TALKS, answers, strict=True)
        ]
    held_out = read("charter_preferences_evaluation", "rm")
    assert [HELD_OUT in tokenizer.decode(row["chosen_input_ids"]) for row in held_out] == [True]

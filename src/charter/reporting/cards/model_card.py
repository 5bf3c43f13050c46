"""The card of a model that a run trained: what it is, what got worse first, how it was made, and what it is not for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charter.feedback.votes import both_orders
from charter.recipe.stages import parted
from charter.reporting import wording
from charter.reporting.cards.facts import Facts, given_source, label
from charter.reporting.cards.figures import index_figures, index_rewards, tell_figures, tell_rewards
from charter.reporting.cards.loading import is_adapter, tell_loading
from charter.reporting.cards.making import lineage, tell_constitution, tell_making
from charter.reporting.cards.markdown import Markdown, bullets, fence, heading, line, paragraphs, plain, quoted
from charter.reporting.label_quality import same_position

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

_TITLES = {
    "sft": "supervised fine-tuning on revisions",
    "preference_model": "preference model",
    "dpo": "DPO on soft labels",
    "rl": "reinforcement learning from AI feedback",
}
_FOR = (
    "It is for research on alignment by AI feedback, and for trying out a constitution. It is not for advice that "
    "somebody relies on, and not for people who do not know that a machine answers."
)
_UNTESTED = (
    "It was measured on the prompts of this run alone. Other prompts, other languages and long conversations are "
    "untested, and so are attacks."
)
_SMALL = "It knows no more than its base model, and small models make things up, lose the thread and repeat themselves."
_MERGED = "The adapter that was trained is merged into its base here: this is a whole model."
_PAPER = """\
@misc{bai2022constitutional,
  title = {Constitutional AI: Harmlessness from AI Feedback},
  author = {Yuntao Bai and others},
  year = {2022},
  eprint = {2212.08073},
  archivePrefix = {arXiv},
  primaryClass = {cs.CL}
}
"""


def model_card(facts: Facts, stage: str, *, licence: str | None = None, merged: bool = False) -> str:
    """Write the card of a stage's model: front matter as the hub reads it, and Markdown.

    Args:
        facts: of the run.
        stage: that trained it, such as ``dpo``, ``dpo-2`` or ``preference_model``.
        licence: as the hub names it; None leaves the choice to whoever publishes the model.
        merged: whether the card is that of the adapter merged into its base.
    """
    is_reward = parted(stage).stage == "preference_model"
    body = paragraphs(
        heading(_title(facts, stage), 1),
        _what(facts, stage),
        _MERGED if merged else "",
        _untrained(facts, stage),
        tell_rewards(facts, stage) if is_reward else tell_figures(facts, stage),
        tell_making(facts, lineage(facts, stage)),
        _use(facts, stage),
        _safety(),
        "" if _untrained(facts, stage) else tell_loading(facts, stage, merged=merged),
        _licence(facts, licence),
        _citation(facts, stage),
    )
    return f"---\n{model_data(facts, stage, licence=licence, merged=merged).to_yaml()}\n---\n\n{body}\n"


def model_data(facts: Facts, stage: str, *, licence: str | None = None, merged: bool = False) -> ModelCardData:
    """Give the front matter of a model's card."""
    from huggingface_hub import ModelCardData

    kind = parted(stage).stage
    is_reward = kind == "preference_model"
    adapter = is_adapter(facts, stage, merged=merged)
    # Without figures no index: the hub's own class has no place for an empty one.
    results = (index_rewards if is_reward else index_figures)(facts, stage) or None
    hub: dict[str, Any] = {"base_model_relation": "adapter" if adapter else "finetune"} if facts.base.hub_id else {}
    return ModelCardData(
        base_model=facts.base.hub_id or None,
        library_name="peft" if adapter else "transformers",
        license=licence,
        language=facts.language,
        pipeline_tag="text-classification" if is_reward else "text-generation",
        tags=["charter", "constitutional-ai", kind.replace("_", "-"), *(["rlaif"] if kind != "sft" else [])],
        model_name=label(f"{facts.name} {stage}"),
        eval_results=results,
        **hub,
    )


def _title(facts: Facts, stage: str) -> str:
    name, iteration = parted(stage)
    return wording.of_iteration(f"{facts.name}: {_TITLES[name]}", iteration)


def _what(facts: Facts, stage: str) -> Markdown:
    what = "gives rewards to answers" if parted(stage).stage == "preference_model" else "answers people"
    return line(
        f"A model that {what}, trained from {facts.base.told} by ",
        Markdown("[Constitutional AI](https://arxiv.org/abs/2212.08073)"),
        ": a written constitution, ",
        tell_constitution(facts),
        f", and AI feedback in place of human labels. {_people(facts, stage)} Made by Charter",
        f" {facts.data.environment.charter}." if facts.data.environment else ".",
    )


def _people(facts: Facts, stage: str) -> str:
    """Say whose preferences beside the AI's were trained on, by this stage or one before it."""
    told = []
    for one in lineage(facts, stage):
        n = one.counts.get("mixed in of people", 0)
        if isinstance(n, int) and n:
            source = given_source(facts.section(parted(one.stage).stage).get("helpfulness"))
            told.append(f"Beside it {one.stage} took {wording.counted(n, 'preference')} as they are from {source}.")
    return " ".join(told) or "No person labelled a row."


def _untrained(facts: Facts, stage: str) -> Markdown | str:
    training = facts.data.stages[stage].training
    if training is None or not training.skipped:
        return ""
    return quoted(line(Markdown("**There is no model here**: "), training.skipped, "."))


def _use(facts: Facts, stage: str) -> Markdown:
    limits = [_FOR, _UNTESTED, _SMALL]
    if parted(stage).stage != "preference_model":
        limits.append(
            "Compliance, objection, refusal and evasion are told by rules. Rules miss phrasings that they do not know, "
            "and a model that learnt phrases may please them: read answers by hand before you rely on these figures."
        )
    return paragraphs(heading("Intended use and limits"), bullets([*limits, *_judged(facts)]))


def _judged(facts: Facts) -> list[str]:
    judged = facts.data.judged
    if not judged:
        return []
    told = [f"The labels are a judge's, {facts.model('judge').told}; no person looked at them."]
    place = same_position(both_orders(judged))
    if place is not None:
        told.append(
            "Asked in both orders, the judge picked the same place, not the same response, in "
            f"{wording.value(place.value, 'rate')} (95 % interval "
            f"{wording.span(place.low, place.high, 'rate', place.n, place.n_groups)}); a coin would in half."
        )
    told.append(
        "How far it agrees with people is not known from the run: 'charter audit' holds it against their labels."
    )
    return told


def _safety() -> Markdown:
    return paragraphs(
        heading("Safety"),
        line(
            "The figures above say whether the training made the model go along with harmful requests less often. It "
            "is no filter: it can still write what is harmful, false or unfair, and whoever wants it to can often make "
            "it. Put checks of your own around it, and do not take its refusals, or their absence, for a judgement."
        ),
    )


def _licence(facts: Facts, licence: str | None) -> Markdown:
    base = facts.base.licence or "not known here: see its own page"
    told = (
        f"The licence of this model is {licence}. "
        if licence
        else ("No licence is named here: whoever publishes the model chooses one, and writes it as 'license' above. ")
    )
    return paragraphs(heading("Licence"), line(told, f"The base model's licence is {base}."))


def _citation(facts: Facts, stage: str) -> Markdown:
    year = facts.data.environment.started[:4] if facts.data.environment else ""
    fields = {
        "title": f"{facts.name}: {_TITLES[parted(stage).stage]}",
        "year": year,
        "note": f"Trained with Charter; constitution {tell_constitution(facts)}",
    }
    shown = [f"  {key} = {{{_bare(value)}}}" for key, value in fields.items() if value]
    run = "@misc{this-model,\n" + ",\n".join(shown) + "\n}\n"
    return paragraphs(heading("Citation"), fence(f"{_PAPER}\n{run}", "bibtex"))


def _bare(text: str) -> str:
    """Take from a text what would end a BibTeX field, or begin a command."""
    return plain(text.translate(str.maketrans("", "", "{}\\")))

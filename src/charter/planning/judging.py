"""What the judge is asked: labels for the pairs, and then the evaluation's comparisons and readings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from charter.constitution import Constitution
from charter.constitution.model import Principle
from charter.engines.base import Request, Sampling
from charter.evaluation.adherence import Probes, keeping_question
from charter.evaluation.judge_reading import ASKING as READING
from charter.evaluation.judge_reading import reading_question
from charter.feedback.labels import standards
from charter.feedback.pair_plans import PairPlan
from charter.feedback.questions import Asking, Question, letter_request, make_asking, reasoning_request
from charter.planning.sizing import Load, Size
from charter.planning.stage_plan import MAX_RENDERED, Given, StagePlan, answer_tokens
from charter.records import Pair, Prompt, PromptKind
from charter.runs.roles import judge_role


def plan_label(given: Given, pairs: Sequence[PairPlan | Pair]) -> StagePlan:
    """Both orders of each principle, by every judge; after chains of thought where the recipe wants those (CAI §4)."""
    settings = given.recipe.label
    response = answer_tokens(given.recipe.pairs.max_tokens)
    load = Load()
    for kind, standard in standards(given.constitution, given.helpful).items():
        n_pairs = sum(pair.prompt.kind == kind for pair in pairs)
        n = n_pairs * 2 * min(settings.k_principles, len(standard.used_for("judge")))
        questions = _questions(given.train[kind], standard.used_for("judge"))
        _add_verdicts(given, load, n, questions, asking=_asking(given, standard), answers=2 * response)
    return given.stage("label", len(pairs), dict.fromkeys(("judge", *map(judge_role, settings.judges)), load))


def comparing_load(given: Given, kinds: Sequence[PromptKind], n: float, k_principles: int, max_tokens: int) -> Load:
    """Both orders of so many comparisons of answers in reinforcement learning, over kinds of prompts alike."""
    load = Load()
    for kind in kinds:
        standard = standards(given.constitution, given.helpful)[kind]
        k = min(k_principles, len(standard.used_for("judge")))
        questions = _questions(given.train[kind], standard.used_for("judge"))
        answers = 2 * answer_tokens(max_tokens)
        n_verdicts = round(n / len(kinds) * 2 * k)
        _add_verdicts(given, load, n_verdicts, questions, asking=_asking(given, standard), answers=answers)
    return load


def checking_load(given: Given, n_rounds: int, response: float) -> Load:
    """Both orders of every revision against what it replaced, by its round's principle."""
    load, standard = Load(), given.constitution
    questions = _questions(given.to_revise, standard.used_for("revise"))
    _add_verdicts(given, load, 2 * n_rounds, questions, asking=_asking(given, standard), answers=2 * response)
    return load


def _add_verdicts(
    given: Given, load: Load, n: int, questions: Iterable[Question], *, asking: Asking, answers: float
) -> None:
    """Add ``n`` verdicts on ``answers`` tokens each: letters, after chains of thought where the recipe wants those."""
    settings, questions = given.recipe.label, list(questions)
    letters = given.sizer.mean_request(letter_request(asking, question) for question in questions)
    if not settings.chains:
        load.add(n, letters.own + answers, shared=letters.shared)
        return
    chain = answer_tokens(settings.max_chain_tokens)
    thought = _thinking(given, asking, questions)
    load.add(n * settings.chains, thought.own + answers, chain, shared=thought.shared)
    load.add(n * settings.chains, letters.own + answers + chain)


def _asking(given: Given, standard: Constitution) -> Asking:
    settings = given.recipe.label
    return make_asking(standard, n_few_shots=settings.n_few_shots, reasoned=settings.chains > 0, seed=given.recipe.seed)


def add_judging(given: Given, judge: Load, response: float) -> int:
    """Head to head with the base, and readings of answers to red-team prompts; say how many of both."""
    settings = given.recipe.evaluate
    n_rows = 0
    for kind in settings.head_to_head:
        standard, prompts = standards(given.constitution, given.helpful)[kind], given.held_out[kind]
        n = len(prompts) * (given.n_models - 1)
        calls = n * 2 * min(settings.k_principles, len(standard.used_for("judge")))
        questions = _questions(prompts, standard.used_for("judge"))
        _add_verdicts(given, judge, calls, questions, asking=_asking(given, standard), answers=2 * response)
        n_rows += n
    if settings.judge_reading:
        n = len(given.held_out["red_team"]) * given.n_models
        shown = (reading_question(prompt, "") for prompt in given.held_out["red_team"][:MAX_RENDERED])
        _add_verdicts(given, judge, 2 * n, shown, asking=READING, answers=response)
        n_rows += n
    for probes in given.brought.probes if settings.judge_adherence else ():
        n = len(probes.pairs) * (given.n_models + len(settings.others))
        asked = (_adherence_question(probes, pair) for pair in probes.pairs[:MAX_RENDERED])
        _add_verdicts(given, judge, 2 * n, asked, asking=READING, answers=response)
        n_rows += n
    return n_rows


def _adherence_question(probes: Probes, pair: Pair) -> Question:
    principles = {one.id: one for one in probes.constitution.principles}
    principle = principles.get(pair.prompt.principle, probes.constitution.principles[0])
    return keeping_question(pair.prompt, "", principle)


def _questions(prompts: Sequence[Prompt], principles: Sequence[Principle]) -> Iterable[Question]:
    for number, prompt in enumerate(prompts[:MAX_RENDERED]):
        yield Question(prompt, principles[number % len(principles)].choice_question, "", "")


def _thinking(given: Given, asking: Asking, questions: Sequence[Question]) -> Size:
    requests: Iterable[Request] = (reasoning_request(asking, question, Sampling()) for question in questions)
    return given.sizer.mean_request(requests)

"""What training is made of: traces, rows for SFT, pairs, verdicts and preferences."""

from __future__ import annotations

import itertools
from typing import Literal

from pydantic import Field

from charter.records.base import Record
from charter.records.prompts import PromptRow

Order = Literal["ab", "ba"]
Side = Literal["a", "b"]
PairSource = Literal["on_policy", "revision_vs_initial", "guided_vs_plain", "contrast"]
#: Source of preferences that people gave, which no judge was asked about.
PEOPLE = "people"
#: ``given`` are pairs that a user brought.
AnyPairSource = Literal[PairSource, "given"]
# Of a text that ran into the token limit: mark it, end it after its last sentence, or leave it open.
OnCut = Literal["flag", "trim", "open"]
#: How the judge that has no name on its verdicts is called: the run's own, ``models.judge``.
OWN_JUDGE = "judge"


class Verdict(Record):
    """One reading of a pair by a judge, under one principle, in one order.

    ``order`` ``ab`` shows response a first. ``logprob_first`` and ``logprob_second`` are the log-probabilities of the
    letters A and B, ``option_mass`` their summed probability; with ``chains`` of thought, means over those chains that
    can be read. ``p_first`` is the probability of the option that was shown first, as the letters say it, or its mean
    over the chains. ``p_a`` is what follows from it for a, calibrated and, with chains, clamped; None where ``invalid``
    says why the verdict cannot be read. ``weight`` is how much the vote counts among those on the pair: the principle's
    weight, times the judge's where several judge. ``judge`` names one of ``label.judges``; the run's own has no name.
    ``n_chains`` chains of thought were asked for; ``chains`` are those with a text, and ``chains_read`` says of each
    whether the letters behind it could be read: the others are in no mean.
    """

    principle: str
    order: Order
    logprob_first: float | None
    logprob_second: float | None
    option_mass: float | None
    p_a: float | None
    chains: tuple[str, ...] = ()
    invalid: str | None = None
    p_first: float | None = None
    weight: float = 1.0
    judge: str = ""
    n_chains: int = 0
    chains_read: tuple[bool, ...] = ()

    @property
    def n_chains_lost(self) -> int:
        """How many of the chains that were asked for are in no mean; none of a verdict that does not say."""
        return self.n_chains - sum(self.chains_read)


class Round(Record):
    """One critique and revision (CAI §3.1).

    ``principle`` is the id drawn for this round. In the ``direct`` layout ``critique_request`` and ``critique`` are
    empty. ``flags`` names what is wrong with this round's revision (see ``text_quality.flags``). ``verdicts`` is what
    the judge says of it against the text that it replaced, side a being the revision, where it was asked; ``p_better``
    its probability that the revision is the better one, None where no verdict can be read.
    """

    number: int = Field(ge=1)
    principle: str
    critique_request: str
    critique: str
    revision_request: str
    revision: str
    flags: tuple[str, ...] = ()
    p_better: float | None = None
    verdicts: tuple[Verdict, ...] = ()

    @property
    def confirmed(self) -> bool | None:
        """Whether the judge finds the revision better than what it replaced; None where it was not asked."""
        return None if not self.verdicts else self.p_better is not None and self.p_better > 0.5


class Trace(PromptRow):
    """A prompt's whole chain: initial response, then rounds of critique and revision.

    ``sample`` numbers the chains of one prompt. ``flags`` gathers the flags of the initial response
    (``initial:FLAG``) and of the rounds (``round N:FLAG``).
    """

    sample: int = 0
    initial: str
    initial_flags: tuple[str, ...] = ()
    rounds: tuple[Round, ...]
    flags: tuple[str, ...] = ()

    @property
    def final(self) -> str:
        """The last revision, or the initial response where there was no round."""
        return self.rounds[-1].revision if self.rounds else self.initial

    @property
    def standing(self) -> tuple[Round, ...]:
        """The rounds before the first that the judge did not confirm: each was found better than what it replaced."""
        return tuple(itertools.takewhile(lambda one: one.confirmed is not False, self.rounds))


class SftRow(PromptRow):
    """One training example for supervised fine-tuning: loss falls on ``response`` and its end token, or its opening.

    ``origin`` says where the response is from, such as ``revision 2``, ``reference`` or ``sampled``. A response that is
    not ``whole`` was left open at the token limit: it is trained on without an end. How much of it is trained on is the
    training's affair (``opening_tokens``): the row has all of the text.
    """

    response: str
    origin: str
    whole: bool = True


class Pair(PromptRow):
    """Two responses to one prompt, before anyone judged them.

    ``source`` is how the pair was made (``on_policy``, ``revision_vs_initial``, ``guided_vs_plain``, ``contrast``,
    ``given``); ``intended`` is the side that a constructed pair means to be better, None where neither is.
    A side that is not whole was left open at the token limit.
    """

    a: str
    b: str
    source: str
    intended: Side | None = None
    origin_a: str = ""
    origin_b: str = ""
    whole_a: bool = True
    whole_b: bool = True


class Judged(PromptRow):
    """A pair, whose id it has, with all that judges said of it, readable or not, before it is settled what that makes.

    ``source``, ``intended`` and whether sides are whole are as in the pair.
    """

    a: str
    b: str
    intended: Side | None
    verdicts: tuple[Verdict, ...]
    source: str = ""
    whole_a: bool = True
    whole_b: bool = True


class Unlabelled(PromptRow):
    """A judged pair that got no label, and the ``reason``: nothing is trained on it.

    ``p_a`` is the judge's P(a is better), None where no vote can be read; ``agrees`` whether that sides with the
    source's intention; None where it has none, for a tie, and without a vote. The rest is as in ``Judged``.
    """

    a: str
    b: str
    source: str
    reason: str
    verdicts: tuple[Verdict, ...]
    p_a: float | None
    intended: Side | None = None
    agrees: bool | None = None
    whole_a: bool = True
    whole_b: bool = True


class Preference(PromptRow):
    """A judged pair: ``chosen`` is the likelier better side, ``p_chosen`` in [0.5, 1] how surely.

    Without a prior of the source that is what the judge prefers; with one, judge and prior are joined (see
    ``feedback.labels``). ``pair`` is the pair's id; ``chosen_side`` the chosen side. ``p_judge`` is the judge's
    probability for the chosen side before any prior. ``position_bias`` is the mean over votes of |P(a shown first) -
    P(a shown second)|. ``agrees`` says whether the judge sided with the source's intention; None where it has none,
    and for a tie. A response that is not whole was left open at the token limit. ``weight`` is how much the pair counts
    in training beside the others.
    """

    chosen: str
    rejected: str
    p_chosen: float = Field(ge=0.5, le=1.0)
    source: str
    verdicts: tuple[Verdict, ...]
    pair: str
    chosen_side: Side
    p_judge: float = Field(ge=0.0, le=1.0)
    position_bias: float = Field(ge=0.0, le=1.0)
    intended: Side | None = None
    agrees: bool | None = None
    whole_chosen: bool = True
    whole_rejected: bool = True
    weight: float = Field(default=1.0, gt=0.0, le=1.0)


class RewardedPair(PromptRow):
    """A judged pair with the rewards that a preference model gives its sides.

    ``id`` and ``p_chosen`` are those of the preference, ``group`` names what pairs that hang together share, and
    ``held_out`` says that the model was not trained on it. Tokens are those of the responses, as far as they are read.
    """

    chosen: str
    rejected: str
    p_chosen: float = Field(ge=0.5, le=1.0)
    source: str
    group: str
    held_out: bool
    reward_chosen: float
    reward_rejected: float
    n_tokens_chosen: int
    n_tokens_rejected: int

    @property
    def margin(self) -> float:
        """How much higher the chosen side's reward is."""
        return self.reward_chosen - self.reward_rejected

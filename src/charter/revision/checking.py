"""Whether revisions are better than what they replaced, as a judge sees it, by the principle of each round.

A revision that the judge does not confirm stays on its trace, with the verdicts, and the next round goes on from it as
without a check: what is trained on is chosen later, from what was found.
"""

from __future__ import annotations

import asyncio

from charter.constitution.model import Constitution
from charter.feedback.judge import Judge, judge_one
from charter.records import Round, Trace


async def check_trace(trace: Trace, constitution: Constitution, judge: Judge) -> Trace:
    """Ask about every revision of a chain in both orders, and keep what is said of each.

    Args:
        trace: whose rounds are of the constitution's principles.
        constitution: where the principles' questions are.
        judge: who is asked.

    Raises:
        EngineError: where the judge's engine failed.
    """
    before = [trace.initial, *(one.revision for one in trace.rounds[:-1])]
    asked = [_check(trace, one, text, constitution, judge) for one, text in zip(trace.rounds, before, strict=True)]
    return trace.model_copy(update={"rounds": tuple(await asyncio.gather(*asked))})


async def _check(trace: Trace, one: Round, before: str, constitution: Constitution, judge: Judge) -> Round:
    if one.revision.strip() == before.strip():  # nothing is better or worse
        return one
    row, principle = f"{trace.id} round {one.number}", constitution.principle(one.principle)
    found = await judge_one(judge, row, trace.prompt, one.revision, before, [principle])
    return one.model_copy(update={"p_better": found.p_a, "verdicts": found.verdicts})

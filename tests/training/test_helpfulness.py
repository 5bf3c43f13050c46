"""People's preferences beside the AI's: how many are mixed in, on which side, and that each is accounted for."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from training_rows import preference

from charter.records import PEOPLE, Message, Preference, make_prompt
from charter.training.helpfulness import EVALUATED, ON_BOTH_SIDES, OVER_THE_RATIO, Judgements, mix_people


def of_people(number: int, text: str = "") -> Preference:
    """Make a preference of people."""
    prompt = make_prompt(text or f"How is thing number {number} done, and by whom?", "helpful")
    made = preference(number, 1.0)
    return made.model_copy(update={"id": f"people-{number}", "prompt": prompt, "source": PEOPLE})


def mix(people: list[Preference], **changed: Any) -> Judgements:
    """Mix them with eight preferences of the AI, two of which are held out."""
    ai = [preference(number) for number in range(8)]
    told = {"ratio": 1.0, "held_out_share": 0.3, "evaluated": (), "near_duplicates": None, "seed": 1, **changed}
    return mix_people((ai[:6], ai[6:]), people, **told)


def n_people(rows: tuple[Preference, ...]) -> int:
    """Count people's."""
    return sum(row.source == PEOPLE for row in rows)


@settings(max_examples=30)
@given(
    n=st.integers(0, 40), ratio=st.floats(0.0, 3.0), share=st.floats(0.0, 1.0), seed=st.integers(0, 3), data=st.data()
)
def test_every_preference_is_accounted_for(n: int, ratio: float, share: float, seed: int, data: Any) -> None:
    """As many as the ratio asks for, where there are as many; the others are counted, and no group is on two sides."""
    people = [of_people(number) for number in range(n)]
    found = mix(people, ratio=ratio, held_out_share=share, seed=seed)
    taken = n_people(found.train), n_people(found.held_out)
    assert found.asked_for == round(6 * ratio)
    assert taken[0] <= found.asked_for
    assert taken[1] <= round(2 * ratio)
    assert sum(taken) + sum(found.left_out.values()) == n
    assert [row.id for row in found.train[:6]] == [f"preference-{number}" for number in range(6)]
    assert {found.groups[row.id] for row in found.train}.isdisjoint(found.groups[row.id] for row in found.held_out)
    again = mix(data.draw(st.permutations(people)), ratio=ratio, held_out_share=share, seed=seed)
    assert (again.train, again.held_out, again.left_out) == (found.train, found.held_out, found.left_out)


def test_the_ratio_is_reached() -> None:
    """Of enough people's preferences the ratio's number is mixed in; which of them, the seed says."""
    people = [of_people(number) for number in range(60)]
    found = mix(people, ratio=2.5)
    assert (n_people(found.train), n_people(found.held_out), found.asked_for) == (15, 5, 15)
    assert found.left_out == {OVER_THE_RATIO: 40}
    other = mix(people, ratio=2.5, seed=2)
    assert {row.id for row in other.train} != {row.id for row in found.train}


def test_what_is_held_out_comes_in_by_no_other_door() -> None:
    """A prompt of the evaluation is left out; one that the AI's held out pairs have is held out too, whatever draws."""
    ai_held_out = preference(7).prompt.text
    ai_trained = preference(1).prompt.text
    turns = ("What is asked in the evaluation?", "This.", "And then?")
    roles: list[Any] = ["user", "assistant", "user"]
    opening = of_people(3)
    said = tuple(Message(role=role, content=text) for role, text in zip(roles, turns, strict=True))
    opening = opening.model_copy(update={"prompt": opening.prompt.model_copy(update={"turns": said})})
    people = [
        of_people(0, "  what IS asked in the evaluation?! "),
        of_people(1, ai_held_out),
        of_people(2, ai_trained),
        opening,
    ]
    for share in (0.0, 1.0):
        evaluated = [make_prompt("What is asked in the evaluation?", "red_team")]
        found = mix(people, evaluated=evaluated, held_out_share=share, ratio=5.0)
        assert found.left_out == {EVALUATED: 2}
        assert [row.id for row in found.held_out[2:]] == ["people-1"]
        assert [row.id for row in found.train[6:]] == ["people-2"]


def test_a_prompt_between_both_sides_is_left_out() -> None:
    """What resembles prompts of both sides cannot be put on either."""
    between = of_people(0, preference(1).prompt.text + " And then?")
    found = mix([between], near_duplicates=0.5, ratio=5.0)
    assert found.left_out == {ON_BOTH_SIDES: 1}


def test_nothing_asked_for_is_nothing_mixed_in() -> None:
    """At a ratio of 0 the AI's preferences are what there is."""
    found = mix([of_people(number) for number in range(4)], ratio=0.0)
    assert (n_people(found.train), n_people(found.held_out), found.left_out) == (0, 0, {OVER_THE_RATIO: 4})


def test_people_keep_to_the_side_of_the_run_s_prompts() -> None:
    """Of prompts that no preference of the AI is of, too: what reinforcement learning holds out is not trained on."""
    trained, aside = (make_prompt(f"What does the run {what}?", "helpful") for what in ("answer", "hold out"))
    people = [of_people(0, "what does the run ANSWER"), of_people(1, "what does the run hold out!")]
    for share in (0.0, 1.0):
        found = mix(people, asked=([trained], [aside]), held_out_share=share, ratio=5.0)
        assert [row.id for row in found.train[6:]] == ["people-0"]
        assert [row.id for row in found.held_out[2:]] == ["people-1"]

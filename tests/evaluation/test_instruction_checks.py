"""The checks of instructions: answers that follow each, answers that do not, and edge cases."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import PromptError
from charter.evaluation.instructions import CONSTRAINTS, LANGUAGES, Instruction, language_of, read_instruction

LONG = 40_000
THREE = "My answer is yes. My answer is no. My answer is maybe."
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "keywords:existence",
        {"keywords": ["hill", "Sea side"]},
        ["Hills by the sea side.", "A SEA SIDE HILL"],
        ["A hill by the sea.", "seaside hill"],
    ),
    (
        "keywords:frequency",
        {"keyword": "rain", "relation": "at least", "frequency": 2},
        ["Rain, then rainbows.", "rain rain rain"],
        ["Rain.", "sun"],
    ),
    (
        "keywords:frequency",
        {"keyword": "rain", "relation": "less than", "frequency": 2},
        ["Rain.", "sun"],
        ["rainrain"],
    ),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["ball", "c++"]},
        ["A balloon at the ballroom.", "C and D"],
        ["The Ball!", "I like C++.", "ball"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "Z", "let_relation": "at least", "let_frequency": 3},
        ["zZz", "A lazy, dizzy cat"],
        ["zz", "x"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "!", "let_relation": "less than", "let_frequency": 2},
        ["Yes!", "No."],
        ["Yes!!"],
    ),
    (
        "language:response_language",
        {"language": "de"},
        ["Der Zug fährt um neun Uhr vom Bahnhof ab."],
        ["The train leaves the station at nine.", "1, 2, 3"],
    ),
    (
        "length_constraints:number_sentences",
        {"relation": "at least", "num_sentences": 3},
        ["One. Two! Three?", "One line\nanother line\nand a third"],
        ["One, two and three.", "Dr. Who met Mr. Fox. They ran.", "One. Two. ***"],
    ),
    (
        "length_constraints:number_sentences",
        {"relation": "less than", "num_sentences": 2},
        ["Only one, e.g. this."],
        ["One. Two."],
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["One.\n\n***\n\nTwo.", "One.\n***\nTwo.\n***", "***\nOne. *** Two."],
        ["One.", "One.\n\nTwo.", "One.\n***\n***\nTwo.", "a\n***\nb\n***\nc", "a ****** b"],
    ),
    (
        "length_constraints:number_words",
        {"relation": "less than", "num_words": 4},
        ["one two three", "don't don't don't", "- one\n- two"],
        ["one two three four", "well-known by all"],
    ),
    ("length_constraints:number_words", {"relation": "at least", "num_words": 3}, ["one, two, three"], ["one - two"]),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Waves"},
        ["The sea.\n\nWaves come.", "The sea.\n\n\n\n**waves**, and", 'A.\n  \n"Waves" they'],
        ["The sea.\nWaves come.", "Waves.\n\nThe sea.", "A.\n\nB.\n\nWaves", "A.\n\nWaves\n\nC.", "A.\n\n***"],
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[name] lives at [address].", "[a][b] [c]"],
        ["[name] only", "[] [ ]", "[name\nof] [x]"],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        ["Bye.\n\nP.S. Write soon.", "Bye. p. s. Write.", "P.S.: yes"],
        ["Bye.", "Bye.\nPS Write soon.", "Bye.\nP.S.", "Bye.\nP.S.\n\nP.S.\n", "P.P.S. Write."],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["A\nP.P.S. Write."], ["A\nP.S. Write."]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* one\n* two", "Here:\n\n- one\n  - two\n", "\u2022 one\n+ two"],
        ["* one", "* one\n* two\n* three", "*one*\n*two*", "- one\n---\n* * *", "1. one\n2. two"],
    ),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is yes.", "Well: My answer is maybe."],
        ["Yes.", "my answer is yes", THREE],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*one* and **two words**", "**a** *b* **c**", "* item with *one* and *two*"],
        ["*one*", "** ** and * *", "* one\n* two", "2 * 3 * 4 * 5", "*one\ntwo* *x"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Step", "num_sections": 2},
        ["Step 1\nmix\nStep 2\nbake", "**Step 1:** a **Step 2:** b", "Step1 Step2"],
        ["Step 1 only", "step 1 step 2", "Step one Step two", "Footstep 1 Step 2"],
    ),
    (
        "detectable_format:json_format",
        {},
        ['{"a": [1, 2]}', '```json\n{"a": 1}\n```', "```\n[]\n```", ' "text" ', '```JSON {"a": 1}```', "```[1]\n```"],
        ["{'a': 1}", 'Here: {"a": 1}', "```json\n{]\n```", '{"a": 1} ```'],
    ),
    ("detectable_format:title", {}, ["<<joy>>\nA poem", "So: << a day >>"], ["<joy>", "<<>>", "<< >>", "<<a\nb>>"]),
    (
        "combination:two_responses",
        {},
        ["one\n******\ntwo", "one ****** two", "one\n******\ntwo\n******", "****** one ****** two"],
        ["one", "one ****** one", "a ****** b ****** c", "****** a", "one *** two", "a ****** ****** b", "******"],
    ),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Name a river."},
        ["Name a river.\n\nThe Danube.", "  name a river. Danube"],
        ["The Danube.", "Sure! Name a river."],
    ),
    (
        "startend:end_checker",
        {"end_phrase": "Good luck!"},
        ["Try it. Good luck!", 'He said "good luck!"', "Good luck! \n"],
        ["Good luck! Bye", "Good luck"],
    ),
    ("startend:quotation", {}, ['"All of it."', ' "a" and "b" '], ["All.", '"Half', '"', '""', "'so'"]),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "at least", "capital_frequency": 2},
        ["THANKS to ALL", "I AM here", "**WE** WON!"],
        ["Thanks to ALL", "123 456"],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "less than", "capital_frequency": 1},
        ["none of them"],
        ["ONE of them"],
    ),
    (
        "change_case:english_capital",
        {},
        ["THE SHOP IS CLOSED ON MONDAY, FOR 2 DAYS."],
        ["The shop is closed.", "DER LADEN IST AM MONTAG GESCHLOSSEN.", "123"],
    ),
    (
        "change_case:english_lowercase",
        {},
        ["the shop is closed on monday, for 2 days."],
        ["The shop is closed.", "der laden ist am montag geschlossen.", "123"],
    ),
    ("punctuation:no_comma", {}, ["No commas here; none."], ["One, two.", "1,000"]),
]
SENTENCES = {
    "ar": "ذهبت إلى السوق في الصباح لأشتري الخبز والفاكهة.",
    "bg": "Днес времето е хубаво и ние отиваме на разходка в планината.",  # noqa: RUF001 - the language's own letters
    "bn": "আজ আবহাওয়া খুব ভালো এবং আমরা নদীর ধারে হাঁটতে যাচ্ছি।",
    "de": "Heute ist das Wetter schön, und wir gehen am Fluss spazieren.",
    "en": "Today the weather is fine, and we go for a walk by the river.",
    "es": "Hoy hace buen tiempo y vamos a pasear por la orilla del río.",
    "fa": "امروز هوا خوب است و ما برای قدم زدن کنار رودخانه می‌رویم.",
    "fi": "Tänään sää on kaunis, ja menemme kävelylle joen rantaan.",
    "fr": "Aujourd'hui il fait beau et nous allons nous promener au bord de la rivière.",
    "gu": "આજે હવામાન સારું છે અને અમે નદી કિનારે ફરવા જઈએ છીએ.",
    "he": "היום מזג האוויר יפה ואנחנו הולכים לטייל ליד הנהר.",
    "hi": "आज मौसम अच्छा है और हम नदी के किनारे घूमने जा रहे हैं।",
    "it": "Oggi il tempo è bello e andiamo a passeggiare lungo il fiume.",
    "ja": "今日は天気がいいので、川のそばを散歩します。",
    "kn": "ಇಂದು ಹವಾಮಾನ ಚೆನ್ನಾಗಿದೆ ಮತ್ತು ನಾವು ನದಿಯ ಬಳಿ ನಡೆಯಲು ಹೋಗುತ್ತೇವೆ.",
    "ko": "오늘은 날씨가 좋아서 우리는 강가를 산책합니다.",
    "ml": "ഇന്ന് കാലാവസ്ഥ നല്ലതാണ്, ഞങ്ങൾ പുഴയുടെ തീരത്ത് നടക്കാൻ പോകുന്നു.",
    "mr": "आज हवामान छान आहे आणि आम्ही नदीकाठी फिरायला जात आहोत.",
    "ne": "आज मौसम राम्रो छ र हामी नदीको किनारमा घुम्न जाँदैछौं।",
    "pa": "ਅੱਜ ਮੌਸਮ ਚੰਗਾ ਹੈ ਅਤੇ ਅਸੀਂ ਨਦੀ ਦੇ ਕੰਢੇ ਸੈਰ ਕਰਨ ਜਾ ਰਹੇ ਹਾਂ।",
    "pl": "Dzisiaj pogoda jest ładna i idziemy na spacer nad rzekę.",
    "pt": "Hoje o tempo está bom e vamos passear na margem do rio.",
    "ru": "Сегодня хорошая погода, и мы идём гулять вдоль реки.",
    "sw": "Leo hali ya hewa ni nzuri na tunaenda kutembea kando ya mto.",
    "ta": "இன்று வானிலை நன்றாக இருக்கிறது, நாங்கள் ஆற்றின் கரையில் நடக்கப் போகிறோம்.",
    "te": "ఈ రోజు వాతావరణం బాగుంది, మేము నది ఒడ్డున నడకకు వెళ్తున్నాము.",
    "th": "วันนี้อากาศดีและเราไปเดินเล่นริมแม่น้ำ",
    "uk": "Сьогодні гарна погода, і ми йдемо гуляти вздовж річки.",  # noqa: RUF001 - the language's own letters
    "ur": "آج موسم اچھا ہے اور ہم دریا کے کنارے سیر کے لیے جا رہے ہیں۔",  # noqa: RUF001 - the language's own letters
    "vi": "Hôm nay thời tiết đẹp và chúng tôi đi dạo bên bờ sông.",
}


@pytest.mark.parametrize(
    ("name", "kwargs", "follow", "depart"), CASES, ids=[f"{name} {number}" for number, (name, *_) in enumerate(CASES)]
)
def test_answers_are_told_apart(name: str, kwargs: dict[str, Any], follow: list[str], depart: list[str]) -> None:
    """Each answer of the first list follows the instruction, and none of the second."""
    instruction = read_instruction(name, kwargs, "x")
    assert [one for one in follow if not instruction.is_followed(one)] == []
    assert [one for one in depart if instruction.is_followed(one)] == []


def test_every_constraint_has_cases() -> None:
    """The list above is whole, and there are as many constraints as IFEval has."""
    assert {name for name, *_ in CASES} == set(CONSTRAINTS)
    assert len(CONSTRAINTS) == 25


@pytest.mark.parametrize(("name", "kwargs"), [(name, kwargs) for name, kwargs, *_ in CASES])
@pytest.mark.parametrize("answer", ["", "  \n\t"])
def test_silence_follows_nothing(name: str, kwargs: dict[str, Any], answer: str) -> None:
    """An answer that says nothing has no comma, and follows nothing for that."""
    assert not Instruction(name, kwargs).is_followed(answer)


@pytest.mark.parametrize(("language", "sentence"), SENTENCES.items())
def test_languages_are_told(language: str, sentence: str) -> None:
    """A sentence in each language that IFEval asks for is found to be in it."""
    assert language_of(sentence) == language
    assert language in LANGUAGES


def test_what_has_no_letter_has_no_language() -> None:
    """Numbers and signs are in no language; capitals are read as other letters."""
    assert language_of("1, 2, 3!") is None
    assert language_of("THE SHOP IS CLOSED ON MONDAY") == "en"


@given(st.text(max_size=300), st.integers(1, 20))
def test_relations_are_opposites(answer: str, n: int) -> None:
    """What has at least so many of something does not have less, and the other way round."""
    for name, kind, more in (
        ("keywords:letter_frequency", "let_", {"letter": "e"}),
        ("length_constraints:number_words", "", {}),
        ("length_constraints:number_sentences", "", {}),
        ("change_case:capital_word_frequency", "capital_", {}),
    ):
        number = next(key for key in CONSTRAINTS[name].takes if key.startswith(("let_f", "num_", "capital_f")))
        found = [
            Instruction(name, {f"{kind}relation": relation, number: n, **more}).is_followed(f"{answer}.")
            for relation in ("at least", "less than")
        ]
        assert sorted(found) == [False, True]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_any_json_is_json(value: Any) -> None:
    """Whatever is written as JSON is read as such, in a fence too."""
    is_json = read_instruction("detectable_format:json_format", {}, "x")
    text = json.dumps(value, indent=1)
    assert is_json.is_followed(text)
    assert is_json.is_followed(f"```json\n{text}\n```")


@given(st.text(max_size=200))
def test_any_text_can_be_checked(answer: str) -> None:
    """No answer makes a check fail."""
    for name, kwargs, *_ in CASES:
        assert Instruction(name, kwargs).is_followed(answer) in {True, False}


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("keywords:existance", {}, "'instruction_id_list' has 'keywords:existance'; expected one of"),
        (7, {}, "'instruction_id_list' has 7; expected one of"),
        ("punctuation:no_comma", [], "'kwargs' of punctuation:no_comma is []; expected an object"),
        ("punctuation:no_comma", {"n": 1}, "punctuation:no_comma was given 'n'; it takes nothing"),
        ("keywords:existence", {"keyword": ["a"]}, "was given 'keyword'; it takes keywords"),
        ("keywords:existence", {"keywords": None}, "keywords:existence has no 'keywords'; give it a list of texts"),
        ("keywords:existence", {"keywords": "a"}, "'keywords' of keywords:existence is 'a'; expected a list of texts"),
        ("keywords:existence", {"keywords": ["a", " "]}, "expected a list of texts that say something"),
        ("keywords:existence", {"keywords": []}, "is []; expected a list of texts"),
        (
            "length_constraints:number_words",
            {"relation": "at most", "num_words": 3},
            "'relation' of length_constraints:number_words is 'at most'; expected 'at least' or 'less than'",
        ),
        (
            "length_constraints:number_words",
            {"relation": "at least", "num_words": 2.5},
            "'num_words' of length_constraints:number_words is 2.5; expected a whole number from 1",
        ),
        ("detectable_format:number_bullet_lists", {"num_bullets": True}, "is True; expected a whole number from 1"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 0}, "is 0; expected a whole number from 1"),
        (
            "keywords:letter_frequency",
            {"letter": "ab", "let_relation": "at least", "let_frequency": 1},
            "'letter' of keywords:letter_frequency is 'ab'; expected one character",
        ),
        ("language:response_language", {"language": "klingon"}, "is 'klingon'; expected a language by ISO 639-1"),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "a"},
            "'nth_paragraph' of length_constraints:nth_paragraph_first_word is 3; expected no more than",
        ),
    ],
)
def test_what_a_constraint_cannot_take_is_named(name: Any, kwargs: Any, message: str) -> None:
    """An error has the place, the key, its value and what was expected."""
    with pytest.raises(PromptError) as caught:
        read_instruction(name, kwargs, "x.jsonl:3")
    assert str(caught.value).startswith("x.jsonl:3: ")
    assert message in str(caught.value)


def test_null_is_as_good_as_nothing() -> None:
    """Tables give every row every key, and make floats of whole numbers."""
    kwargs = {"keywords": None, "num_bullets": 3.0, "relation": None}
    found = read_instruction("detectable_format:number_bullet_lists", kwargs, "x")
    assert found == Instruction("detectable_format:number_bullet_lists", {"num_bullets": 3})
    assert found.family == "detectable_format"


@pytest.mark.parametrize(
    ("name", "kwargs", "answer"),
    [
        ("detectable_content:number_placeholders", {"num_placeholders": 1}, f"[{'a' * LONG}"),
        ("detectable_format:title", {}, f"<<{'a' * LONG}"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 1}, f"-{' ' * LONG}"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 1}, f"{' ' * LONG}x"),
    ],
)
def test_a_long_answer_takes_no_longer_than_it_is(name: str, kwargs: dict[str, Any], answer: str) -> None:
    """No check looks at the same stretch from each place in it: given answers may be of any length."""
    begun = time.perf_counter()
    assert not read_instruction(name, kwargs, "x").is_followed(answer)
    assert time.perf_counter() - begun < 2.0  # a hundred times what it takes; by the square it would be minutes

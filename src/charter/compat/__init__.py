"""For those who come from the "answer improvement" library: its calls, on Charter's engines and stages.

Each name below does what that library's call of the same name does, through the functions on the right, which are what
a new program calls. Files go both ways. ``docs/moving-in/answer-improvement.md`` has an example of each, and says where
results differ.

====================================================  =================================================================
``load_principles``, ``load_constitution``            ``charter.load_constitution``
(nothing there)                                       ``save_principles``: ``charter constitution convert``
``import_prompts_from_csv``                           ``charter.load_prompts``
(nothing there)                                       ``save_prompts_to_csv``: ``charter export --what prompts``
``PromptTemplate.generate_*``                         ``revision.layouts.make_layout``, ``feedback.questions``
``ModelInteractor(hf_model)``                         ``charter.TransformersEngine(model)``
``ModelInteractor(hf_model, hf_api_key, endpoint)``   ``engines.http.HttpEngine(model, server, key_name=...)``
``ModelInteractor(..., use_mock=True)``               ``charter.ScriptedEngine()``
``.execute_llm_request``                              ``engine.complete(charter.CompletionRequest(...))``
``.run_single_answer_improvement``,                   ``charter.revision.revise_one``
``.run_single_interaction``
``.run_answer_improvement_loop``,                     ``charter.revise(..., rounds=1)``
``.run_interaction_loop``
``.run_single_comparison``                            ``charter.feedback.pair_one``, ``charter.feedback.judge_pair``
``.run_comparison_loop``                              ``charter.pairs`` of the source ``on_policy``, ``charter.label``
``.save_prompts_and_revisions_to_csv``                ``charter export --format answer-improvement --what sft``
(reading that file)                                   ``charter.load_sft_rows``
``.save_comparison_data_to_csv``                      ``charter export --format answer-improvement --what preferences``
(reading that file)                                   ``charter.load_pairs``
``.chat_with_model``, and to begin anew               ``charter chat``, ``engines.conversation.Conversation``
====================================================  =================================================================
"""

from charter.compat.files import import_prompts_from_csv, load_principles, save_principles, save_prompts_to_csv
from charter.compat.histories import Compared, History, Improved
from charter.compat.interactor import ModelInteractor
from charter.compat.models import open_engine
from charter.compat.telling import LeftOutWarning, PrinciplesWarning

__all__ = [
    "Compared",
    "History",
    "Improved",
    "LeftOutWarning",
    "ModelInteractor",
    "PrinciplesWarning",
    "import_prompts_from_csv",
    "load_principles",
    "open_engine",
    "save_principles",
    "save_prompts_to_csv",
]

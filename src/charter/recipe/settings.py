"""A recipe's keys: their types, defaults and meanings.

Top keys are the stages in order, plus ``name``, ``seed``, ``constitution`` and ``models``. Stages never see these
objects: ``stages`` passes them plain arguments.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from charter.constitution.model import FewShotChoice
from charter.records import AnyPairSource, Contested, OnCut, PairSource, PromptKind, PromptLayout, ResponseLabel

#: Names of environment variables as keys have them: capitals alone, which a pasted key hardly ever is.
KEY_NAME = r"^[A-Z_][A-Z0-9_]*$"
Cell = str | int | float | bool  # what a row is chosen by
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Bound = Annotated[float, Field(ge=0.0)]
Stage = Literal["prompts", "revise", "sft", "pairs", "label", "preference_model", "dpo", "rl", "evaluate", "report"]


Cutting = Annotated[
    OnCut,
    Field(
        description="a text cut at the token limit is flagged and not trained on ('flag'), ends after its last "
        "sentence ('trim'), or is trained on without an end ('open')"
    ),
]


class Settings(BaseModel):
    """A section of a recipe: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _from_name(key: str) -> BeforeValidator:
    """Let a plain string stand for a section with one key set."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


# Behind a short form a section is no JSON any more, and strict models take no list for a tuple.
_LIST_TO_TUPLE = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class ModelSettings(Settings):
    """A model and the engine that runs it."""

    name: str = Field(description="embedded name, folder, adapter folder or Hugging Face id; of a server, its own name")
    engine: Literal["transformers", "vllm", "vllm-server", "http", "scripted"] = "transformers"
    server: Annotated[str | tuple[str, ...] | None, _LIST_TO_TUPLE] = Field(
        default=None,
        min_length=1,
        description="of engine http: openai, huggingface, vllm, llama-server, ollama, or addresses that share the load",
    )
    key_name: str | None = Field(
        default=None,
        pattern=KEY_NAME,
        description="the environment variable with the server's key, in capitals; None takes the server's usual one",
    )
    max_at_once: int = Field(default=64, ge=1, description="calls of this model under way to each server, at most")
    call_seconds: float = Field(default=120.0, gt=0.0, description="of one try of a call to a server")
    deadline_seconds: float = Field(default=900.0, gt=0.0, description="of all tries of a call to a server")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    device: str = "auto"
    max_rows: int | None = Field(
        default=None, ge=1, description="rows that one forward pass serves; None takes 64, of vllm 256"
    )
    n_context: int | None = Field(
        default=None, ge=64, description="the longest text in tokens; None takes the model's own limit"
    )
    memory_share: float = Field(
        default=0.9, gt=0.0, le=1.0, description="of a GPU's memory, which vllm takes for weights and caches"
    )
    n_gpus: int = Field(default=1, ge=1, description="GPUs over which vllm divides each layer")
    compiled: bool | None = Field(
        default=None, description="whether vllm compiles layers, a minute at its start; None does so on a GPU alone"
    )
    trust_remote_code: bool = Field(
        default=False, description="run code that comes with the model: only if you read it"
    )


Model = Annotated[ModelSettings, _from_name("name")]


class Models(Settings):
    """Which model plays which role; a role that is not named is played by the policy's base model."""

    policy: Model
    critic: Model | None = None
    reviser: Model | None = None
    judge: Model | None = None
    red_team: Model | None = Field(default=None, description="writes prompts, where they are 'generated'")
    second_judge: Model | None = Field(
        default=None, description="compares answers while RL trains, and is never trained against; `null` asks nobody"
    )


class ConstitutionSettings(Settings):
    """The constitution, and the one whose principles judge helpfulness."""

    source: str = Field(description="built-in name or path")
    helpful: str = Field(
        default="helpful", description="built-in name or path: principles for helpful prompts and twins"
    )


class PromptSource(Settings):
    """Where prompts come from."""

    source: str = Field(
        default="built-in", description="'built-in', a CSV/TSV/JSON lines/JSON/Parquet file, a saved folder, a dataset"
    )
    layout: PromptLayout | None = Field(default=None, description="how it holds them; None recognises it")
    column: str | None = None
    id_column: str | None = None
    category_column: str | None = None
    reference_column: str | None = None
    principle_column: str | None = None
    setting_column: str | None = None
    twin_column: str | None = None
    system_column: str | None = None
    system: str | None = Field(default=None, description="a system text for every prompt that has none")
    principles: str | None = Field(
        default=None, description="a constitution whose ids the file's names or positions of principles become"
    )
    where: dict[str, Cell | list[Cell]] = Field(default_factory=dict)
    split: str | None = Field(default=None, description="the split of a Hugging Face dataset")
    limit: int | None = Field(default=None, ge=1)
    seed: int | None = Field(
        default=None, ge=0, description="of the draw of those that 'limit' keeps; None keeps the first"
    )


Prompts = Annotated[PromptSource, _from_name("source")]


class GenerateSettings(Settings):
    """How prompts whose source is ``generated`` are written."""

    n_per_principle: int = Field(default=10, ge=1, description="red-team prompts asked for, for each principle")
    n_helpful: int = Field(default=100, ge=1, description="helpful prompts asked for")
    per_call: int = Field(default=5, ge=1, le=50, description="prompts asked for in one call, at most")
    form: Literal["json", "labelled"] = Field(
        default="json", description="of the model's answers: JSON, or labelled lines, which small models can follow"
    )
    axes: str | None = Field(default=None, description="a file of settings, registers, lengths, languages, categories")
    few_shots: str | None = Field(default=None, description="a file of worked examples in place of our own")
    texts: str | None = Field(default=None, description="a file with another wording of the requests")
    temperature: float = Field(default=0.7, ge=0.0)
    top_p: float = Field(default=0.9, gt=0.0, le=1.0)
    max_tokens: int = Field(default=384, ge=1, description="for each prompt that is asked for, at most")
    near_duplicates: float = Field(default=0.7, gt=0.0, le=1.0, description="prompts this alike are written once")


class PromptSettings(Settings):
    """Prompts by kind, and how many groups are held out for evaluation."""

    red_team: Prompts = PromptSource()
    benign_twin: Prompts | None = PromptSource()
    helpful: Prompts | None = PromptSource()
    generate: GenerateSettings = GenerateSettings()
    n_evaluation: int = Field(default=120, ge=0, description="red-team prompts held out, each with its twin")
    n_evaluation_helpful: int = Field(default=80, ge=0, description="helpful prompts held out")
    n_train: int | None = Field(default=None, ge=1, description="red-team prompts trained on; None takes the rest")
    n_train_helpful: int | None = Field(default=None, ge=1)
    split_seed: int = Field(
        default=0, ge=0, description="of the split alone, so that runs of other seeds hold out the same"
    )
    near_duplicates: float | None = Field(
        default=None,
        ge=0.1,
        le=1.0,
        description="how much prompts must resemble each other to stay on one side; None goes by their writing alone",
    )

    def sources(self) -> dict[PromptKind, PromptSource]:
        """Give the sources that are set, by kind."""
        every: dict[PromptKind, PromptSource | None] = {
            "red_team": self.red_team,
            "benign_twin": self.benign_twin,
            "helpful": self.helpful,
        }
        return {kind: source for kind, source in every.items() if source is not None}

    def numbers(self) -> dict[str, Any]:
        """Give how many prompts are taken, and the split's seed: the arguments of ``select_prompts``."""
        return self.model_dump(exclude={"red_team", "benign_twin", "helpful", "generate"})


class ReviseSettings(Settings):
    """Critique and revision (CAI §3.1)."""

    rounds: int = Field(default=2, ge=1, le=8)
    layout: Literal["chat", "transcript"] = "chat"
    initial_layout: Literal["chat", "transcript"] | None = Field(
        default=None, description="of the initial response; None takes the layout of the rounds"
    )
    few_shots: FewShotChoice = Field(
        default="all", description="all worked examples, or those whose revision changed the response"
    )
    n_few_shots: int | None = Field(default=None, ge=0, description="worked examples shown; None shows all")
    temperature: float = Field(default=1.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=256, ge=1)
    max_critique_tokens: int = Field(default=128, ge=1)
    on_cut: Cutting = "flag"
    n_samples: int = Field(
        default=1, ge=0, description="chains per prompt that has no given one, each from its own seed; 0 makes none"
    )
    check: bool = Field(
        default=False, description="let the judge say of every revision whether it is better than what it replaced"
    )
    given: str | None = Field(default=None, description="a file of revisions that are taken as they are")


class LoraSettings(Settings):
    """The adapter that is trained."""

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    targets: str | tuple[str, ...] = "all-linear"
    quantise: Literal["4bit"] | None = Field(
        default=None,
        description="train behind frozen weights of 4 bits (QLoRA, in every training); null leaves them whole",
    )


class LaunchSettings(Settings):
    """How the processes of trainings are started, and who is told of their figures."""

    launch: str | None = Field(
        default=None,
        min_length=1,
        description="one-gpu, several-gpus, fsdp2, zero3, cpu-2, or a file of accelerate's; None starts none",
    )
    n_processes: int | None = Field(
        default=None, ge=1, description="of a launch; None takes its file's number, or one for each GPU"
    )
    logs: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...] | None, _LIST_TO_TUPLE] = Field(
        default=None,
        description="what gets each step's figures as they come; None takes tensorboard where it is installed, and "
        "[] nothing",
    )


class TrainingSettings(Settings):
    """What all trainings share."""

    epochs: float = Field(default=1.0, gt=0.0)
    learning_rate: float = Field(default=2e-4, gt=0.0)
    batch_size: int = Field(default=8, ge=1)
    accumulation: int = Field(default=1, ge=1)
    warmup: Share = 0.03
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    max_length: int = Field(default=1024, ge=16)
    gradient_checkpointing: bool = False


class GuardSettings(Settings):
    """What ends a training whose answers degenerate (see ``training.collapse``)."""

    every: int = Field(
        default=100, ge=1, description="steps between two looks; a checkpoint is written at each that finds nothing"
    )
    n_prompts: int = Field(
        default=8, ge=1, description="red-team prompts that are answered, and as many others, of those trained on"
    )
    max_tokens: int = Field(default=64, ge=1, description="where an answer is cut")
    repetition: Share = Field(
        default=0.5, description="the share of the answers without loops that may get them; 1 looks at none"
    )
    endings: Share = Field(default=0.5, description="the same of answers that end as the most others do")
    boilerplate: Share = Field(
        default=0.5, description="the same of stock phrases, in answers to prompts that are not red-team ones"
    )
    refusals: Share = Field(default=0.5, description="the same of refusals, in the answers to those prompts")
    distinct: Share = Field(
        default=0.25,
        description="the least variety of all answers (distinct pairs of words), as a share of what it was",
    )
    length: Annotated[tuple[Bound, Bound], _LIST_TO_TUPLE] = Field(
        default=(0.1, 10.0), description="the least and the most of the answers' mean length, as shares of what it was"
    )
    then: Literal["stop", "keep"] = Field(
        default="stop",
        description="'stop' ends the run with an error, the last good checkpoint kept; 'keep' makes that one the model",
    )


Guard = Annotated[
    GuardSettings, BeforeValidator(lambda value: {"every": value} if type(value) is int else value)
]  # true is no number of steps


class TextTrainingSettings(TrainingSettings):
    """What the trainings on given texts share."""

    opening_tokens: int | None = Field(
        default=None,
        ge=1,
        description="train on so many of each response's first tokens, where it is decided; None trains on all",
    )


class GuardedSettings(TextTrainingSettings):
    """What those share whose model answers."""

    guard: Guard | None = GuardSettings()


class SftSettings(GuardedSettings):
    """Supervised fine-tuning on revisions, mixed with helpful rows."""

    lora: LoraSettings = LoraSettings()
    revisions: Literal["all", "last"] = "all"
    only_changed: bool = Field(default=False, description="leave out revisions equal to what they revise")
    only_confirmed: bool = Field(
        default=False,
        description="leave out the first revision that the judge did not find better, and all after it",
    )
    classes: tuple[ResponseLabel, ...] | None = Field(
        default=None, min_length=1, description="response classes of revisions that are trained on; None takes all"
    )
    helpful_ratio: float = Field(default=1.0, ge=0.0, description="helpful rows per revision row")
    twin_ratio: float = Field(default=0.5, ge=0.0, description="benign-twin rows per revision row")
    response_temperature: float = Field(default=0.7, ge=0.0, description="of the base's own helpful responses")
    max_tokens: int = Field(default=256, ge=1)
    on_cut: Cutting = "flag"


class PairSettings(Settings):
    """Pairs by kind of prompt: shares of each source add up to 1 within a kind."""

    n: int = Field(default=400, ge=0, description="pairs that are made, over all kinds; 0 makes none")
    given: str | None = Field(default=None, description="a file of pairs that are judged beside those that are made")
    balance_lengths: Literal["drop", "trim"] | None = Field(
        default=None, description="take the length confound out of given pairs: leave pairs out, or shorten answers"
    )
    kinds: dict[PromptKind, Share] = {"red_team": 0.5, "benign_twin": 0.25, "helpful": 0.25}
    sources: dict[PromptKind, dict[PairSource, Share]] = {
        "red_team": {"guided_vs_plain": 0.5, "revision_vs_initial": 0.25, "on_policy": 0.25},
        "benign_twin": {"on_policy": 1.0},
        "helpful": {"on_policy": 1.0},
    }
    temperature: float = Field(default=1.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=256, ge=1)
    on_cut: Cutting = "flag"
    intended_classes: tuple[ResponseLabel, ...] | None = Field(
        default=None,
        min_length=1,
        description="on red-team prompts, classes that an intended side must be of; None takes all",
    )
    n_tries: int = Field(default=4, ge=2, le=64, description="the most samples drawn for one pair of 'contrast'")
    few_shots: FewShotChoice = Field(default="all", description="which worked examples the guided side is shown")
    guided_by: Literal["sft", "base"] = Field(default="sft", description="the model that answers with the constitution")


class JudgeSettings(Settings):
    """A judge beside ``models.judge``."""

    model: Model = Field(description="who judges")
    weight: float = Field(default=1.0, gt=0.0, description="of its votes; those of `models.judge` weigh 1")
    calibrator: str | None = Field(default=None, description="the file of its own calibrator")


class LabelSettings(Settings):
    """AI feedback: soft labels from both orders and k principles (CAI §4.1)."""

    k_principles: int = Field(default=2, ge=1)
    n_few_shots: int | None = Field(default=None, ge=0)
    min_option_mass: Share = 0.5
    chains: int = Field(default=0, ge=0, description="chains of thought per verdict; 0 asks for the letter at once")
    clamp: tuple[Share, Share] = (0.4, 0.6)
    max_chain_tokens: int = Field(default=160, ge=1)
    calibrator: str | None = Field(
        default=None, description="a file that 'charter audit' wrote: the judge's temperature and bias to an option"
    )
    judges: dict[str, Annotated[JudgeSettings, _from_name("model")]] = Field(
        default_factory=dict, description="further judges by name, whose votes on pairs count beside `models.judge`'s"
    )
    prior: dict[AnyPairSource, Annotated[float, Field(gt=0.0, lt=1.0)]] = Field(
        default_factory=dict,
        description="P(the intended side is better) that a source carries of itself; 0.5 leaves it to the judge",
    )
    on_disagreement: Literal["swap", "drop", "keep"] = "swap"
    min_margin: float = Field(
        default=0.0, ge=0.0, le=0.5, description="a label is unsure where `p_chosen` is less than this above 0.5"
    )
    on_low_margin: Literal["keep", "weigh", "drop"] = Field(
        default="keep",
        description="unsure labels are trained on as any other, by a weight that grows with the margin, or not at all",
    )
    held_out: Share = Field(default=0.1, description="share of prompts whose preferences are not trained on")


class PreferenceModelSettings(TextTrainingSettings):
    """A preference model on soft labels. It trains on with the adapter of SFT, whose shape ``sft.lora`` says."""

    helpfulness: str | None = Field(
        default=None,
        min_length=1,
        description="a file of pairs that people judged, mixed with the AI's preferences; `null` mixes in none",
    )
    helpfulness_ratio: float = Field(
        default=1.0, ge=0.0, description="people's pairs for each preference of the AI, at most"
    )


class DpoSettings(GuardedSettings):
    """DPO on soft labels. It trains on with the adapter of SFT, whose shape ``sft.lora`` says."""

    kinds: dict[PromptKind, Share] | None = Field(
        default=None,
        description="shares of the kinds of prompt among the pairs trained on, the rest left out; None trains on all",
    )
    loss: Literal["sigmoid", "geometric", "ipo"] = "sigmoid"
    beta: float = Field(default=0.1, gt=0.0)
    nll_weight: float = Field(default=0.0, ge=0.0)
    length_normalised: bool = Field(
        default=False, description="take log-ratios per token, so that length gains nothing; beta is then to be larger"
    )
    learning_rate: float = Field(default=5e-5, gt=0.0)


class RewardSettings(Settings):
    """The parts of the reward, by weight; 0 leaves one out."""

    preference_model: float = Field(default=1.0, ge=0.0, description="the run's preference model")
    judge: float = Field(
        default=0.0, ge=0.0, description="the judge itself, asked live which answers of a group are better"
    )
    length: float = Field(default=0.0, ge=0.0, description="takes off for tokens beyond `most_tokens`")
    repetition: float = Field(default=0.0, ge=0.0, description="takes off for what is said again")
    boilerplate: float = Field(default=0.0, ge=0.0, description="takes off for stock phrases")
    most_tokens: int = Field(default=96, ge=1, description="of an answer that nothing is taken off for its length")


class RlGuardSettings(GuardSettings):
    """What ends reinforcement learning: degenerate answers, KL, a second judge (see ``training.oversight``)."""

    every: int = Field(
        default=25, ge=1, description="steps between two looks; a checkpoint is written at each that finds nothing"
    )
    kl: float = Field(default=2.0, gt=0.0, description="the most KL from the first model, per token in nats")
    second_judge: float = Field(
        default=0.15,
        ge=0.0,
        le=0.5,
        description="how far below 0.5 the second judge's mean P(better than before the first step) may be while the "
        "reward has risen",
    )


RlGuard = Annotated[RlGuardSettings, BeforeValidator(lambda value: {"every": value} if type(value) is int else value)]


class RlSettings(TrainingSettings):
    """Reinforcement learning from AI feedback. It trains on with the adapter of SFT or DPO."""

    method: Literal["grpo", "rloo"] = "grpo"
    start: Literal["sft", "dpo"] = Field(default="sft", description="the model that it begins from, and is held to")
    kinds: tuple[PromptKind, ...] = Field(
        default=("red_team", "helpful"), min_length=1, description="of prompts that are answered"
    )
    n: int | None = Field(
        default=None, ge=1, description="prompts that are answered, drawn by the seed; None takes all"
    )
    rewards: RewardSettings = RewardSettings()
    n_samples: int = Field(default=4, ge=2, description="answers to each prompt, compared with each other")
    beta: float = Field(default=0.05, ge=0.0, description="the weight of KL from the first model; 0 lets it go")
    temperature: float = Field(default=1.0, gt=0.0)
    max_tokens: int = Field(default=128, ge=1)
    n_updates: int = Field(default=1, ge=1, description="optimiser steps on the same answers")
    learn_from_cut: bool = Field(
        default=True, description="whether answers that came to `max_tokens` before their end are learnt from"
    )
    k_principles: int = Field(default=1, ge=1, description="drawn for each comparison of a judge")
    n_meetings: int = Field(
        default=1, ge=1, description="of an answer with those after it in its group, where the judge rewards"
    )
    learning_rate: float = Field(default=1e-5, gt=0.0)
    batch_size: int = Field(default=16, ge=2)
    guard: RlGuard | None = RlGuardSettings()


class ProbeSettings(Settings):
    """What asks how far models hold to one constitution."""

    constitution: str = Field(description="built-in name or path")
    source: str = Field(
        default="built-in", description="'built-in', or a file of prompts, each with an aligned and a misaligned answer"
    )
    n: int | None = Field(default=None, ge=1, description="probes of each principle; None takes all")


class EvaluateSettings(Settings):
    """Held-out measurement of base, SFT and DPO; the judge is asked as ``label`` says."""

    harm: bool = Field(
        default=True,
        description="whether red-team prompts ask for harm; if not, no compliance, objection or evasion is counted",
    )
    temperature: float = Field(default=0.7, ge=0.0)
    max_tokens: int = Field(default=128, ge=1)
    head_to_head: tuple[Contested, ...] = Field(
        default=("red_team", "helpful"),
        description="prompts whose answers the judge compares with the base's, of each kind by its own principles",
    )
    judge_reading: bool = Field(
        default=False,
        description="let the judge say of every answer to a red-team prompt whether it complied, beside the rules",
    )
    k_principles: int = Field(default=1, ge=1, description="principles drawn per comparison")
    multiple_choice: tuple[str, ...] = Field(default=(), description="JSON-lines files of multiple-choice rows")
    probes: tuple[Annotated[ProbeSettings, _from_name("constitution")], ...] = Field(
        default=(), description="constitutions that the models' adherence to is measured"
    )
    others: dict[str, Model] = Field(
        default_factory=dict, description="further models by name, which are put to the probes alone"
    )
    judge_adherence: bool = Field(
        default=False, description="let the judge say of every answer to a probe whether it keeps to the principle"
    )


class BudgetSettings(Settings):
    """What calls to servers may come to over a whole run; models in this process cost nothing."""

    money: float | None = Field(
        default=None, gt=0.0, description="the most that they may cost, as the prices are given"
    )
    tokens: int | None = Field(default=None, ge=1, description="the most tokens that they may read and write")
    prices: str | None = Field(default=None, description="a file of prices per million tokens, by model")

    @property
    def is_set(self) -> bool:
        """Whether there is an end to what may be spent."""
        return self.money is not None or self.tokens is not None


class MemorySettings(Settings):
    """What models take of the machine; what they answer does not depend on it."""

    models_at_once: int | None = Field(
        default=None, ge=1, description="models in memory at once, at most; `null` takes as many as fit"
    )


class RaySettings(Settings):
    """Where and how ``charter run --on ray`` does rows; it changes nothing of what is made."""

    address: str | None = Field(
        default=None,
        description="of the cluster: its head's host and port, or 'auto' on one of its nodes; None starts a cluster of "
        "this machine alone, for as long as the run lasts",
    )
    n_actors: int = Field(
        default=2, ge=1, description="actors that do rows, each with engines and a journal of its own"
    )
    cpus_per_actor: float = Field(default=1.0, gt=0.0, description="CPUs that the cluster keeps for each actor")
    gpus_per_actor: float = Field(
        default=0.0, ge=0.0, description="GPUs that the cluster keeps for each actor, which sees no other"
    )
    rows_per_actor: int = Field(default=256, ge=1, description="rows under way at once in each actor, at most")
    deadline_seconds: float = Field(
        default=300.0, gt=0.0, description="how long actors are waited for, at the beginning and where none is left"
    )


class ReportSettings(Settings):
    """The report."""

    max_rows: int = Field(default=5000, ge=1, description="rows that the page's browser holds")


class Recipe(Settings):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(default=0, ge=0)
    data_dir: str | None = Field(
        default=None,
        description="a folder with red_team.json, sft.json and preferences.json: prompts, revisions and pairs",
    )
    constitution: Annotated[ConstitutionSettings, _from_name("source")]
    models: Models
    prompts: PromptSettings = PromptSettings()
    revise: ReviseSettings = ReviseSettings()
    sft: SftSettings = SftSettings()
    pairs: PairSettings = PairSettings()
    label: LabelSettings = LabelSettings()
    preference_model: PreferenceModelSettings | None = Field(
        default=None, description="a preference model on the soft labels; `null` trains none, `{}` one by the defaults"
    )
    dpo: DpoSettings | None = Field(
        default=DpoSettings(), description="training on the soft labels; `null` leaves it out"
    )
    rl: RlSettings | None = Field(
        default=None, description="reinforcement learning towards rewards; `null` does none, `{}` some by the defaults"
    )
    evaluate: EvaluateSettings = EvaluateSettings()
    report: ReportSettings = ReportSettings()
    training: LaunchSettings = LaunchSettings()
    budget: BudgetSettings = BudgetSettings()
    memory: MemorySettings = MemorySettings()
    ray: RaySettings = RaySettings()

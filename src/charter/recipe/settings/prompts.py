"""Constitutions and prompts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from charter.recipe.settings.section import Cell, Settings, ShortFor
from charter.records import PromptKind, PromptLayout


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
    split: str | None = Field(
        default=None, description="of a folder or a Hugging Face dataset; `a+b` takes two, None the one that there is"
    )
    limit: int | None = Field(default=None, ge=1)
    seed: int | None = Field(
        default=None, ge=0, description="of the draw of those that 'limit' keeps; None keeps the first"
    )


class GivenRows(Settings):
    """Rows that a user brings."""

    source: str = Field(min_length=1, description="a file, a folder of Parquet files, or a Hugging Face dataset")
    split: str | None = Field(
        default=None, description="of a folder or a dataset; `a+b` takes two, `null` the one that there is"
    )
    limit: int | None = Field(default=None, ge=1, description="rows that are taken, at most, of those that fit the run")
    seed: int | None = Field(
        default=None, ge=0, description="of the draw of those that 'limit' takes; None takes the first"
    )


Given = Annotated[GivenRows, ShortFor("source")]
Prompts = Annotated[PromptSource, ShortFor("source")]


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

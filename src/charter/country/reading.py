"""A country's configuration with the principles that it names, and what of it is of use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from charter.authoring.given_texts import EXAMPLES_SLOT, SECTIONS, GivenTexts, Section, find_unused, read_given_texts
from charter.constitution import Constitution
from charter.constitution.formats import FEW_SHOT_PROMPTS, GENERATION, is_rows, read_source
from charter.constitution.reading import read_constitution
from charter.errors import ConstitutionError, PromptError

_LAYOUT = "country-config"
_OF_FILES = (GENERATION, FEW_SHOT_PROMPTS)  # metadata that stays in the files that it was read from


@dataclass(frozen=True)
class Country:
    """A configuration that was read.

    ``constitution`` has the principles, with the worked critiques of a few-shot file where one was given. ``texts`` is
    the wording by section, of the sections that are there. ``remarks`` say what of the files nothing is done with.
    """

    config: Path
    constitution: Constitution
    texts: dict[str, GivenTexts]
    remarks: tuple[str, ...] = ()

    def wording(self, section: Section, *, examples: bool = False) -> GivenTexts:
        """Give the wording of a section; with ``examples`` one that has a place for them.

        Raises:
            PromptError: where the configuration has none.
        """
        found = self.texts.get(section.name)
        texts = read_given_texts(self.config, section) if found is None else found
        if examples and not texts.shows_examples(examples=True):
            raise PromptError(
                f"{self.config}: examples are given, and no text of the section '{section.name}' has a place for them; "
                f"add {section.keys[1]} with the slot {{{EXAMPLES_SLOT}}}, or leave out --few-shots"
            )
        return texts


def read_country(config: Path, *, principles: Path | None = None, few_shots: Path | None = None) -> Country:
    """Read a country's configuration, and the principles that it names.

    Args:
        config: the YAML file.
        principles: the list of principles, in place of the file that the configuration names.
        few_shots: a few-shot file, whose worked critiques become examples of the constitution.

    Raises:
        UserError: where a file cannot be read, or is none of a country's, with the line.
    """
    if not os.path.isfile(config):  # noqa: PTH113 - Path's raises for what is no path at all
        raise ConstitutionError(f"{config}: no such file; expected a country's configuration, such as config.yaml")
    others = [one for one in (principles, few_shots) if one is not None and not is_rows(read_source(one))]
    sources = [config, *others]
    reading = read_constitution(sources, follow=principles is None)
    layouts = dict(reading.layouts)
    if layouts.get(str(config)) != _LAYOUT:
        raise ConstitutionError(
            f"{config}: is no country's configuration, but of the layout {layouts.get(str(config))!r}; expected a YAML "
            "file with src_principles and the sections red_team, sft and pref"
        )
    named = reading.constitution.metadata.get(GENERATION)
    there = [section for section in SECTIONS if isinstance(named, dict) and section.name in named]
    kept = {key: value for key, value in reading.constitution.metadata.items() if key not in _OF_FILES}
    return Country(
        config=config,
        constitution=reading.constitution.model_copy(update={"metadata": kept}),
        texts={section.name: read_given_texts(config, section) for section in there},
        remarks=(*reading.remarks, *find_unused(config)),
    )

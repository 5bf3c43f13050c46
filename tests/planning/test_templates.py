from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.engines.inspection import has_chat_template, read_chat_template
from charter.planning.sizing import estimate_tokens
from charter.planning.templates import count_lead

TURNS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)
SYSTEM = "{% if messages[0].role != 'system' %}<system>Be kind.</>{% endif %}"


@pytest.mark.parametrize(
    ("template", "lead"),
    [
        (TURNS, ""),
        (SYSTEM + TURNS, "<system>Be kind."),
        ("{{ bos_token }}" + TURNS, "BOS"),
        ("{{ raise_exception('no') }}", ""),
        ("{% for %}", ""),
        ("{{ strftime_now('%d') }}" + TURNS, "1 Jan"),
        ("nothing", ""),
        ("{{ 1/0 }}S" + TURNS, ""),
        ("{{ (1e308 + 1e308) | round(method='ceil') }}S" + TURNS, ""),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}S" + TURNS, ""),
        ("{{ 9 ** 9 ** 9 }}S" + TURNS, ""),
        ("{{ 'a' * 99999999999 }}S" + TURNS, ""),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}S" + TURNS, ""),
        ("{% for a in range(99) %}{% for b in range(99) %}{% endfor %}{% endfor %}S" + TURNS, "S"),
        ("{% for a in range(101) %}{% for b in range(99) %}{% endfor %}{% endfor %}S" + TURNS, ""),
        ("{# " + 100_000 * "-" + " #}S" + TURNS, ""),
    ],
)
def test_what_a_template_puts_first_is_counted(tmp_path: Path, template: str, lead: str) -> None:
    """A system text of the model's own, or a first token; one that fails, or does too much, says nothing."""
    (tmp_path / "chat_template.jinja").write_text(template, "utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "BOS"}}), "utf-8")
    assert count_lead(tmp_path, len) == len(lead)


def test_a_template_reaches_nothing(tmp_path: Path) -> None:
    """A template comes with a model: it is rendered in a sandbox."""
    (tmp_path / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}" + TURNS, "utf-8")
    assert count_lead(tmp_path, len) == 0


def test_templates_are_found_where_tokenizers_keep_them(tmp_path: Path) -> None:
    """In a file of its own, or in the configuration, alone or under the name of the default."""
    assert count_lead(tmp_path, estimate_tokens) == 0
    assert not has_chat_template(tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    several = [{"name": "tools", "template": "x"}, {"name": "default", "template": SYSTEM}]
    for template, found in ((SYSTEM, SYSTEM), (several, SYSTEM), (several[:1], ""), (None, "")):
        settings.write_text(json.dumps({"chat_template": template}), "utf-8")
        assert read_chat_template(tmp_path) == found
        assert has_chat_template(tmp_path) is bool(found)
    (tmp_path / "chat_template.jinja").write_text(TURNS, "utf-8")
    assert read_chat_template(tmp_path) == TURNS

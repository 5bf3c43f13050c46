from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import charter

SOURCE = Path(charter.__file__)
HEAVY = {
    "accelerate", "datasets", "gguf", "huggingface_hub", "matplotlib", "numpy", "pandas", "peft", "pyarrow", "scipy",
    "torch", "transformers", "trl",
}  # fmt: skip


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and name the modules it has afterwards."""
    script = f"import sys\n{code}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", charter.__all__)
def test_each_name_is_the_same_thing_twice(name: str) -> None:
    """A name must not become a module of the same name once that was imported."""
    first = getattr(charter, name)
    again = getattr(charter, name)
    assert first is again or first == again == charter.__version__
    assert not inspect.ismodule(first)


def test_names_hold_after_every_module_was_imported() -> None:
    """Importing every submodule changes no public name."""
    before = {name: getattr(charter, name) for name in charter.__all__}
    for module in pkgutil.walk_packages(charter.__path__, "charter."):
        if not module.name.startswith("charter.inspecting.") or importlib.util.find_spec("inspect_ai"):  # an extra
            importlib.import_module(module.name)
    assert {name: getattr(charter, name) for name in charter.__all__} == before


def test_listed_names_are_those_that_type_checkers_see() -> None:
    """``__all__``, the imports for type checkers and the table of homes name the same things."""
    tree = ast.parse(SOURCE.read_text("utf-8"))
    typed = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("charter.")
        for alias in node.names
    }
    assert typed == {(module, name) for module, names in charter._HOMES.items() for name in names}
    assert {name for _, name in typed} | {"__version__"} == set(charter.__all__)


def test_no_public_name_is_a_module_of_the_package() -> None:
    """A function and a module of one name would hand out now the one, now the other."""
    modules = {module.name for module in pkgutil.iter_modules(charter.__path__)}
    assert not modules & set(charter.__all__)


def test_import_brings_nothing_heavy_and_none_of_our_modules() -> None:
    """``import charter`` is instant: it loads neither torch nor any module of its own."""
    loaded = loaded_after("import charter")
    assert not HEAVY & loaded
    assert {name for name in loaded if name.startswith("charter")} == {"charter"}


@pytest.mark.parametrize("name", ["load_constitution", "load_recipe", "revise", "label", "pairs", "ScriptedEngine"])
def test_light_names_load_no_training_library(name: str) -> None:
    """What runs no model itself loads no torch, transformers or datasets."""
    loaded = loaded_after(f"import charter; charter.{name}")
    assert not {"torch", "transformers", "datasets", "matplotlib"} & loaded


def test_calls_of_another_library_load_none_either() -> None:
    """A script that is moved in and mocks its model is as light as one of ours."""
    loaded = loaded_after("import charter.compat")
    assert not {"torch", "transformers", "datasets", "matplotlib"} & loaded


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name is reported as Python does."""
    with pytest.raises(AttributeError, match="no attribute 'revize'"):
        charter.revize  # noqa: B018 - the access is what is tested


def test_version_is_the_installed_one() -> None:
    """``charter.__version__`` is what the distribution says."""
    assert charter.__version__ == importlib.metadata.version("charter")
    assert set(charter.__all__) <= set(dir(charter))

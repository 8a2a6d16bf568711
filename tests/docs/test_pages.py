"""Pages say what the code does: complete references, examples that run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

import unetzoo
from unetzoo.records.record import Record

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCED = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_all_that_is_public_is_on_the_page() -> None:
    shown = set(re.findall(r"^::: unetzoo\.(\w+)$", page("reference/api.md"), re.MULTILINE))
    assert shown == set(unetzoo.__all__)


def test_every_command_has_its_help(hooks: ModuleType) -> None:
    text = hooks.on_page_markdown(page("reference/cli.md"))
    for path in hooks.command_paths():
        assert f"## {' '.join(path)}\n" in text
        assert f"Usage: {' '.join(path)}" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("name", "model"), [("suite", unetzoo.Suite), ("model-options", unetzoo.UNetSpec)])
def test_every_option_is_in_a_table(hooks: ModuleType, name: str, model: type[BaseModel]) -> None:
    text = hooks.on_page_markdown(page(f"reference/{name}.md"))
    assert "<!--" not in text
    for _, inner in classes(hooks, model):
        for option in inner.model_fields:
            cells = re.findall(rf"^\| `{option}` \| (.*?) \|", text, re.MULTILINE)
            assert cells, f"{inner.__name__}.{option}"
            assert all(cells), f"{inner.__name__}.{option}: no values"


def test_every_field_of_a_record_is_on_the_page(hooks: ModuleType) -> None:
    sections = re.split(r"^## ", page("reference/record-format.md"), flags=re.MULTILINE)[1:]
    listed = {
        section.partition("\n")[0].strip("`"): re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        for section in sections
    }
    seen, expected = set(), {}
    for path, model in classes(hooks, Record):
        if model not in seen:  # the first place tells of the others
            seen.add(model)
            expected[path or "Record"] = list(model.model_fields)
    assert {path: sorted(fields) for path, fields in listed.items()} == {
        path: sorted(fields) for path, fields in expected.items()
    }


def test_a_users_own_model_and_data_set_are_found(tmp_path: Path) -> None:
    """The files of the two how-to pages, imported by the commands that these show."""
    for name, file, command in (
        ("own-model", "my_models.py", ["list", "my_*", "--import", "my_models.py"]),
        ("own-dataset", "my_data.py", ["data", "list", "--import", "my_data.py"]),
    ):
        code = next(text for kind, text in FENCED.findall(page(f"how-to/{name}.md")) if kind == "python")
        (tmp_path / file).write_text(code, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "unetzoo.cli", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        for word in re.findall(r'register_\w+\("(\w+)"', code):
            assert word in done.stdout


def test_a_users_own_data_set_opens(tmp_path: Path) -> None:
    code = next(text for kind, text in FENCED.findall(page("how-to/own-dataset.md")) if kind == "python")
    code += "\ndataset = unetzoo.create_dataset('squares', size=96)\ndataset.check_values()\n"
    code += "assert dataset.read('train-00')[0].shape == (1, 96, 96)\nassert dataset.digest()\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_commands_in_the_pages_exist(hooks: ModuleType) -> None:
    known = {" ".join(path) for path in hooks.command_paths()}
    for file in sorted(DOCS.rglob("*.md")):
        for _, text in FENCED.findall(file.read_text(encoding="utf-8")):
            for command in re.findall(r"^unetzoo ((?:data )?\w+)", text, re.MULTILINE):
                assert f"unetzoo {command}" in known, f"{file.name}: {command}"


def classes(hooks: ModuleType, model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield a class and all that its fields hold, each with its place, such as `cost.timings`."""
    yield path, model
    for name, field in model.model_fields.items():
        if (inner := hooks.held(field.annotation)) is not None:
            yield from classes(hooks, inner, f"{path}.{name}".lstrip("."))

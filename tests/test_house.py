"""The tests' own order: no file imports another, names are unique, and long files have a reason."""

from __future__ import annotations

import ast
from pathlib import Path

from support.slow import LIST as SLOW

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))
MOST_LINES = 400
LONG = {
    "test_broken.py": "one table of damaged folders",
    "test_mask_conventions.py": "one table of conventions",
    "test_testing.py": "one model for each check that it fails",
}
"""Files with more than MOST_LINES lines, and why."""


def imported(file: Path) -> set[str]:
    """Return the dotted names of all modules that a file imports, or may import by ``from a import b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {"." * node.level + (node.module or ""), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_no_file_imports_a_test_file() -> None:
    tests = {file.stem for file in FILES}
    wrong = [
        f"{file.relative_to(TESTS)} imports {name}"
        for file in sorted(TESTS.rglob("*.py"))
        for name in sorted(imported(file))
        if name.startswith(".") or tests & set(name.split("."))
    ]
    assert not wrong, "move what several files need to tests/support/"


def test_slow_tests_exist() -> None:
    listed = SLOW.read_text(encoding="utf-8").splitlines()
    assert listed == sorted(set(listed))
    functions = {
        f"{file.relative_to(TESTS.parent).as_posix()}::{node.name}"
        for file in FILES
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    wrong = {line.split("[")[0] for line in listed} - functions
    assert not wrong, "python tests/support/slow.py writes the list anew"


def test_names_are_unique() -> None:
    """pytest imports a test file by its name alone, since the folders are no packages."""
    assert len({file.name for file in FILES}) == len(FILES)


def test_a_long_file_has_a_reason() -> None:
    long = {file.name for file in FILES if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES}
    assert long <= set(LONG), f"over {MOST_LINES} lines: split it by idea, or say in LONG why not"

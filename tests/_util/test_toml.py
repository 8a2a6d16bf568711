"""TOML that no option takes is refused in one line that names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetzoo._util.paths import user_path
from unetzoo._util.toml import parse_toml
from unetzoo.cli.options import parse_options
from unetzoo.errors import UnetzooError, shown

DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"a = {DEEP}", "is nested too deeply"),
        (f"a = {'[' * 40}{']' * 40}", "is nested too deeply; at most 32"),
        ("a = {" + "b.c." * 300 + "d = 1}", "is nested too deeply"),
        (f"a = {'9' * 5001}", "thousands of digits; at most 30"),
        (f"a = 0x{'f' * 5001}", "thousands of digits; at most 30"),
        (f"a.b = {'9' * 400}", "x.toml: a: b: a whole number of 400 digits; at most 30"),
        ('a = "b\\u0000c"', r"x.toml: a: 'b\\x00c' has a NUL character"),
        ('[["a\\u0000"]]', "has a NUL character"),
    ],
)
def test_what_no_option_takes_is_refused(text: str, words: str) -> None:
    with pytest.raises(UnetzooError, match=r"^x\.toml: ") as caught:
        parse_toml(text, "x.toml")
    assert words.replace("\\\\", "\\") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_byte_order_mark_is_read() -> None:
    assert parse_toml('\ufeffname = "a"', "x.toml") == {"name": "a"}


@pytest.mark.parametrize("value", ["9" * 5001, DEEP])
def test_values_of_the_command_line_are_checked_too(value: str) -> None:
    with pytest.raises(UnetzooError, match=r"^--set width: "):
        parse_options([f"width={value}"])
    assert parse_options(["width=16", "up=bilinear"]) == {"width": 16, "up": "bilinear"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("~nosuchuser/a", "there is no user 'nosuchuser' here"),
        ("a\0b", "has no NUL character"),
        (None, "None: must be a path"),
        (3, "3: must be a path"),
    ],
)
def test_what_is_no_path_is_refused(path: object, words: str) -> None:
    with pytest.raises(UnetzooError, match=f"^root = .*{words}"):
        user_path(path, "root")  # type: ignore[arg-type]
    assert user_path("~") == Path.home()


def test_values_are_shown_in_one_short_line() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 1000)) < 70
    assert shown(10**5000).startswith("int that cannot be shown")
    assert shown(Odd()).startswith("Odd that cannot be shown")

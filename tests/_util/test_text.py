"""Text from outside, made fit for records, pages and terminals."""

from __future__ import annotations

import io
import os

import pytest

from unetzoo._util.text import shortened, visible, visible_values
from unetzoo.bench.suite import ModelRequest
from unetzoo.bench.trials import TrialModel
from unetzoo.cli.console import SafeConsole
from unetzoo.data.base import DatasetInfo

UNSOUND = {
    os.fsdecode(b"/data/caf\xe9.npy"): "/data/caf\\xe9.npy",
    "\0\x07\x1b[31m\x7f\x9b": "\\x00\\x07\\x1b[31m\\x7f\\x9b",
    "a\rb\x0bc": "a\\x0db\\x0bc",
    "\ud83d lone \ude00": "\\ud83d lone \\ude00",
    "right\u202eleft\u2028line\ufffe": "right\\u202eleft\\u2028line\\ufffe",
}
SOUND = "é 漢 😀 \t tab\nline"


@pytest.mark.parametrize(("text", "shown"), UNSOUND.items(), ids=ascii)
def test_what_is_unsound_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown
    shown.encode()


def test_sound_text_stays() -> None:
    assert visible(SOUND) == SOUND
    assert visible_values({"a\0": ["\x1b", 1, None, (SOUND,)]}) == {"a\\x00": ["\\x1b", 1, None, (SOUND,)]}


def test_a_cut_is_marked() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdef", 3) == "abc [... 3 more characters]"


@pytest.mark.parametrize(("text", "shown"), UNSOUND.items(), ids=ascii)
def test_names_and_labels_are_printable(text: str, shown: str) -> None:
    info = DatasetInfo(name="d", channels=1, class_names=("background", text), foreground=(1,))
    assert info.class_names[1] == shown
    assert DatasetInfo.from_json(info.model_dump_json(), "again") == info
    assert ModelRequest(name="unet", label=text).label == shown
    model = TrialModel(label=text, name="unet", in_channels=1, num_classes=2, options={})
    assert model.label == shown


@pytest.mark.parametrize(("text", "shown"), UNSOUND.items(), ids=ascii)
def test_a_terminal_gets_no_control_characters(text: str, shown: str) -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, width=200)
    console.print(f"error: {text}", markup=False, highlight=False, soft_wrap=True)
    for dropped in ("\\x07", "\\x0b", "\\x0d"):  # by rich itself
        shown = shown.replace(dropped, "")
    assert file.getvalue() == f"error: {shown}\n"

"""README.zh-CN.md says what README.md says: the same commands, figures and addresses, and nothing beside them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))


def code(text: str) -> list[str]:
    """Return the lines of all blocks of code, without comments."""
    blocks = re.findall(r"^```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].rstrip() for block in blocks for line in block.splitlines() if line]


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`]*`|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)


def test_commands_are_those_of_the_english_readme() -> None:
    assert len(code(CHINESE)) > 15
    assert [line for line in code(CHINESE) if line not in code(ENGLISH)] == []
    inline = re.findall(r"(?<!`)`([^`\n]+)`", CHINESE)
    assert [text for text in inline if text not in ENGLISH and text != "--lang zh"] == []


def test_figures_are_those_of_the_english_readme() -> None:
    def figures(text: str) -> set[str]:
        return set(re.findall(r"\d+(?:[.,]\d+)*", prose(text)))

    assert {"0.01", "5.6"} <= figures(CHINESE)
    assert figures(CHINESE) <= figures(ENGLISH)


def test_the_two_readmes_link_each_other_and_what_is_there() -> None:
    assert "(README.zh-CN.md)" in ENGLISH
    assert "(README.md)" in CHINESE
    for address in re.findall(r"\]\(([^)]+)\)", CHINESE):
        path, _hash, anchor = address.partition("#")
        page = ROOT / path
        assert page.exists(), address
        titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^a-z0-9 -]", "", t.lower()).replace(" ", "-") for t in titles]

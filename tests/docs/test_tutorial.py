"""The tutorial's blocks run as they stand, in order, with less training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial.md"
FENCED = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
VALUE = re.compile(r"^([\w.\[\]()\", *-]+)  # ([\[('{].*|torch\.Size.*)$", re.MULTILINE)
SMALLER = {
    '"steps": 150': '"steps": 2',
    "seeds=[0, 1, 2]": "seeds=[0]",
    '"size": 128}': '"size": 48, "repeats": 5, "attempts": 1}',
}


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that the blocks define."""
    text, names = PAGE.read_text(encoding="utf-8"), {"__name__": "tutorial"}
    for written, smaller in SMALLER.items():
        assert text.count(written) == 1, f"the tutorial no longer has {written}"
        text = text.replace(written, smaller)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tutorial"))
        for block in FENCED.finditer(text):
            line = text.count("\n", 0, block.start(1))
            exec(compile("\n" * line + block[1], str(PAGE), "exec"), names)
        names["page"] = names["page"].resolve()
    return names


def test_blocks_run(namespace: dict[str, Any]) -> None:
    assert set(namespace["trials"]["status"]) == {"ok"}
    assert "skip connections" in namespace["page"].read_text(encoding="utf-8")
    assert namespace["classes"].shape == (300, 300)


def test_comments_tell_the_values(namespace: dict[str, Any]) -> None:
    """A line such as `expression  # value` in a block gives that value; after a colon stands an explanation."""
    told = VALUE.findall(PAGE.read_text(encoding="utf-8"))
    assert len(told) >= 5
    image, mask = namespace["dataset"].read("test-000")  # later blocks give these names to others
    for expression, value in told:
        found = eval(expression, {**namespace, "image": image, "mask": mask})
        assert repr(found).startswith(value.partition("}:")[0]), expression

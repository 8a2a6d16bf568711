"""Names of classes in a text file beside the data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from unetzoo.data.folders.mask_reading import MaskReading
from unetzoo.data.folders.pairs import Finding, some
from unetzoo.data.folders.reading import ClassReading, Value, interval
from unetzoo.errors import UnetzooError

NAME_FILES = ("classes.txt", "class_names.txt")
VOID_NAMES = re.compile(r"void|unlabel|ignore|don.?t.?care", re.IGNORECASE)
BACKGROUND = re.compile(r"[\W_]*(background|bg|back)[\W_]*", re.IGNORECASE)


def read_names(root: Path) -> tuple[list[str], str, list[Finding]]:
    """Read the class names of a folder, one per line in the order of the values.

    Args:
        root: The folder.

    Returns:
        The names, none if there is no such file; the name of the file; and findings.

    Raises:
        UnetzooError: If the file cannot be read.
    """
    path = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
    if path is None:
        return [], "", []
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read: {error}") from None
    if len(set(names)) < len(names):
        return [], path.name, [Finding("warning", "names", f"{path}: a name occurs twice; the names are not used")]
    return names, path.name, []


def assign(names: Sequence[str], values: Sequence[Value], void: Sequence[Value]) -> dict[Value, str] | None:
    """Assign names to values.

    Names are those of all values or of all that are not void, in ascending order; or those of the numbers from 0 on,
    some of which no mask may hold; or of all values but 0, which is then the background.

    Args:
        names: The names.
        values: Values of all masks.
        void: Those that are void.

    Returns:
        The name of each value; void may have none. None if the names do not fit.
    """
    ordered = sorted(values, key=interval)
    classes = [value for value in ordered if value not in void]
    if len(names) == len(ordered):
        return dict(zip(ordered, names, strict=True))
    if len(names) == len(classes):
        return dict(zip(classes, names, strict=True))
    numbers = [value for value in classes if isinstance(value, int)]
    if len(numbers) < len(classes) or len(classes) < 2:
        return None
    if len(classes) > 2 and numbers[0] >= 0 and numbers[-1] < len(names):
        return {value: names[value] for value in numbers}
    if numbers[0] == 0 and len(names) == len(numbers) - 1 and "background" not in names:
        return dict(zip(numbers, ["background", *names], strict=True))
    return None


def name_classes(found: MaskReading, names: Sequence[str], file: str) -> None:
    """Name all values of a proposal; names that mean void or background decide, and settle the questions.

    Args:
        found: The proposal, which changes.
        names: The names.
        file: Name of their file.
    """
    values = [v for owner in (found.ignore, *(c.values for c in found.classes)) for v in owner]
    of_value = assign(names, values, found.ignore)
    if of_value is None:
        shown = some([str(value) for value in sorted(values, key=interval)])
        text = f"{file} has {len(names)} names, but the masks have {len(values)} values ({shown}): not used"
        found.add("warning", "names", text)
        return
    void = [v for v in values if (v not in of_value if v in found.ignore else VOID_NAMES.search(of_value[v]))]
    void += [v for v in found.ignore if v in of_value and VOID_NAMES.search(of_value[v])]
    void = sorted(void, key=interval)
    if len(values) - len(void) < 2:
        return
    settled = ("void", "foreground", "background")
    found.findings = [f for f in found.findings if f.kind not in settled]
    found.questions = [q for q in found.questions if q.kind == "conventions"]
    found.ignore = void
    ordered = sorted((v for v in values if v not in void), key=interval)
    if len(ordered) > 2 or any(BACKGROUND.fullmatch(of_value[v]) for v in ordered):
        front = {v for v in ordered if not BACKGROUND.fullmatch(of_value[v])} or set(ordered)
        if len(ordered) == 2:
            ordered.sort(key=lambda v: v in front)
    else:  # two names, neither of which is the background's
        ordered = [c.values[0] for c in found.classes if c.values[0] not in void]
        front = {c.values[0] for c in found.classes if c.foreground} if len(ordered) == 2 else set(ordered)
        front = front if len(set(ordered) & front) == 1 else set(ordered[1:])
    found.classes = [ClassReading(name=of_value[v], values=[v], foreground=v in front) for v in ordered]
    for value in void:
        if value in of_value:
            found.add("note", "void", f"{value} is void: {file} calls it {of_value[value]!r}")
        else:
            found.add("note", "void", f"{value} has no name in {file}: taken as void")
    behind = [c.name for c in found.classes if not c.foreground]
    text = f"{behind[0]!r} is left out of the headline score" if behind else "all classes count in the headline score"
    found.add("note", "background", f"named as in {file}; {text}")

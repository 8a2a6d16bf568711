"""Reading JSON files that a user brings: one line for whatever is wrong, and little memory for large ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unetzoo.errors import UnetzooError

HEAD = 1 << 16  # bytes at either end of a file in which its kind is looked for
_COCO = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_LABELME = re.compile(rb'"(shapes"\s*:\s*\[|imagePath"\s*:|imageData"\s*:)')
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def json_kind(path: Path) -> str:
    """Return "coco", "labelme" or "", judged by the keys at either end of a JSON file; "" if it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
            file.seek(max(0, size - HEAD))
            text = head + b"\n" + file.read(HEAD)
    except OSError:
        return ""
    return "labelme" if _LABELME.search(text) else "coco" if _COCO.search(text) else ""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        UnetzooError: If the file cannot be read, is not JSON, or holds something else.
    """
    try:
        value = _DECODER.decode(_text(path))
    except (ValueError, RecursionError) as error:
        raise _not_json(path, error) from None
    if not isinstance(value, dict):
        raise UnetzooError(f"{path}: holds a {type(value).__name__}; a JSON object {{...}} is needed")
    return value


def entries(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of the lists below some keys of a JSON object, decoded one by one to spare memory.

    Args:
        path: The file.
        keys: Keys of the lists; others are skipped.

    Yields:
        The key and an entry of its list.

    Raises:
        UnetzooError: If the file cannot be read or is not JSON, or a key holds no list.
    """
    text = _text(path)
    try:
        at = _expect(text, 0, "{")
        while text[at : at + 1] != "}":
            key, at = _DECODER.raw_decode(text, at)
            at = _expect(text, _skip(text, at), ":")
            if key not in keys:
                _, at = _DECODER.raw_decode(text, at)
            elif text[at : at + 1] != "[":
                raise UnetzooError(f"{path}: {key!r} holds no list; a COCO file has lists of {', '.join(keys)}")
            else:
                at = _skip(text, at + 1)
                while text[at : at + 1] != "]":
                    value, at = _DECODER.raw_decode(text, at)
                    yield key, value
                    at = _separate(text, at, "]")
                at += 1
            at = _separate(text, at, "}")
        if (end := _skip(text, at + 1)) < len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except UnetzooError:
        raise
    except (ValueError, RecursionError) as error:
        raise _not_json(path, error) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise UnetzooError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None


def _not_json(path: Path, error: Exception) -> UnetzooError:
    if isinstance(error, json.JSONDecodeError):
        return UnetzooError(f"{path}: is not JSON: {error.msg} in line {error.lineno}, column {error.colno}")
    reason = "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
    return UnetzooError(f"{path}: is not JSON that can be read: {reason}")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _expect(text: str, at: int, sign: str) -> int:
    """Return the place after a sign and the space that follows it.

    Raises:
        JSONDecodeError: If there is another sign.
    """
    at = _skip(text, at)
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"Expecting {sign!r}", text, at)
    return _skip(text, at + 1)


def _separate(text: str, at: int, end: str) -> int:
    """Return the place of the next entry after a comma, or that of the closing bracket.

    Raises:
        JSONDecodeError: If there is neither.
    """
    at = _skip(text, at)
    if text[at : at + 1] == end:
        return at
    at = _expect(text, at, ",")
    if text[at : at + 1] == end:
        raise json.JSONDecodeError("Trailing comma", text, at)
    return at

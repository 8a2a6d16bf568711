"""One exception for everything a person can get wrong, and the words it is said in.

The command line prints ``str(error)`` and exits 2; nothing below it formats an error twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from typing_extensions import Self


class UnetzooError(ValueError):
    """A mistake in a name, an option, a file or a folder; its text is one line and names the culprit."""


def nearest(word: object, known: Iterable[object]) -> str:
    """'did you mean a or b?' where something is close, else the whole list of what is known."""
    names = sorted(str(k) for k in known)
    close = get_close_matches(str(word), names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names) if names else '(none)'}"


def plain(error: BaseException) -> str:
    """Type and first line of any exception."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'it says no more'}"


class _PlainErrors(type(BaseModel)):
    """Calling the class raises `UnetzooError` instead of pydantic's many lines."""

    def __call__(cls, *args: Any, **data: Any) -> Any:
        try:
            return super().__call__(*args, **data)
        except ValidationError as error:
            raise_plain(error, cls)  # type: ignore[arg-type]


class Strict(BaseModel, metaclass=_PlainErrors):
    """A frozen data class that refuses what it does not know, in one line, as a `UnetzooError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """Parse and check JSON; ``where`` (a file, say) begins the one line of the `UnetzooError`."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise_plain(error, cls, where)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], where: str) -> Self:
        """The same for parsed TOML or JSON."""
        return cls.from_json(json.dumps(data, default=str), where)


def raise_plain(error: ValidationError, model: type[BaseModel], where: str = "") -> NoReturn:
    """Turn pydantic's first complaint into one line: where, key, value, and what is allowed."""
    # An option spelt wrong is the cause where another is missing, so it is told first.
    first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"]) or "value"
    at = f"{where}: " if where else ""
    members = _union(first, error)
    others = error.error_count() - max(1, len(members))
    more = f" (and {others} more such mistake{'s' if others > 1 else ''})" if others else ""
    if first["type"] == "json_invalid":
        raise UnetzooError(f"{at}{first['msg'][0].lower()}{first['msg'][1:]}") from None
    kind, got, context = first["type"], first["input"], first.get("ctx", {})
    if len(members) > 1:
        key = ".".join(str(part) for part in first["loc"][:-1])
        raise UnetzooError(f"{at}{key} = {got!r}: input should be a valid {' or '.join(members)}{more}") from None
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        fields = _fields_at(model, first["loc"][:-1])
        text = f"unknown option {key!r}; {nearest(first['loc'][-1], fields)}"
    elif kind == "missing":
        text = f"{key} is missing"
    elif kind == "literal_error":
        allowed = [part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")]
        text = f"{key} = {got!r} is not a choice; {_choices(got, allowed)}"
    elif kind == "value_error":
        text = f"{key}: {context['error']}" if first["loc"] else str(context["error"])
    else:
        reason = first["msg"][0].lower() + first["msg"][1:]
        text = f"{key} = {got!r}: {reason}"
    raise UnetzooError(f"{at}{text}{more}") from None


def _union(first: Mapping[str, Any], error: ValidationError) -> list[str]:
    """The kinds of value that a field may have, of which pydantic tells one by one that it is none."""
    if first["loc"][-1:] not in [(kind,) for kind in _KINDS]:
        return []
    tags = [e["loc"][-1] for e in error.errors() if e["loc"][:-1] == first["loc"][:-1] and e["loc"][-1] in _KINDS]
    return [_KINDS[tag] for tag in tags if isinstance(tag, str)]


_KINDS = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}


def _choices(got: object, allowed: list[str]) -> str:
    close = get_close_matches(str(got), allowed, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The field names of the (nested) model that ``loc`` points into."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            model = inner or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    # In Python 3.10 list[int] passes for a type, so its origin is asked for first.
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if found := _model_in(part):
            return found
    return None

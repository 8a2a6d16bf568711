"""The exception for user mistakes, and helpers that put one into a single line.

The command line prints ``str(error)`` and exits with status 2; no code below it formats an error again.
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
    """A mistake in a name, an option, a file or a folder; its message is one line that names the culprit."""


def nearest(word: object, known: Iterable[object]) -> str:
    """Return a hint for a mistyped word: "did you mean a or b?", or all known names if none is close.

    Args:
        word: The word as it was typed.
        known: The names that would have been right.
    """
    names = sorted(str(k) for k in known)
    close = get_close_matches(str(word), names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names) if names else '(none)'}"


def shown(value: object, most: int = 60) -> str:
    """Return a value in one short line for a message, such as "array of shape (2, 3)"."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{type(value).__name__} of shape {tuple(shape)}"
    try:
        text = repr(value)
    except Exception as error:  # a very long integer, or a user's class
        return f"{type(value).__name__} that cannot be shown ({type(error).__name__})"
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}..."


def check_argument(call: str, name: str, value: object, kinds: type | tuple[type, ...], right: str) -> None:
    """Check the type of an argument of a public function.

    Args:
        call: Name of the function, with which the message begins.
        name: Name of the argument.
        value: Its value.
        kinds: Types that are right; a bool does not count as a number.
        right: Values that are right, in words.

    Raises:
        UnetzooError: If it has another type.
    """
    listed = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, listed) or (isinstance(value, bool) and bool not in listed):
        raise UnetzooError(f"{call}: {name} = {shown(value)}: must be {right}")


def one_line(error: BaseException) -> str:
    """Return the type and the first line of an exception, such as "KeyError: 'width'"."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an exception of somebody else's may even fail to say what it is
        lines = []
    return f"{type(error).__name__}: {lines[0] if lines else '(no message)'}"


class _OneLineErrors(type(BaseModel)):
    """Metaclass that turns the multi-line `ValidationError` of a constructor call into a `UnetzooError`."""

    def __call__(cls, *args: Any, **data: Any) -> Any:
        if args:
            fields = ", ".join(getattr(cls, "model_fields", {}))
            raise UnetzooError(f"{cls.__name__}({shown(args[0])}): fields are given by name; fields: {fields}")
        try:
            return super().__call__(*args, **data)
        except ValidationError as error:
            raise_one_line(error, cls)  # type: ignore[arg-type]


class Strict(BaseModel, metaclass=_OneLineErrors):
    """Base of all frozen data classes: strict types, no unknown fields, no NaN or infinity.

    A value that does not validate raises a `UnetzooError` of one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """Parse and validate JSON.

        Args:
            text: The JSON.
            where: Source of the text, such as a file name; error messages begin with it.

        Raises:
            UnetzooError: If the text is not JSON or does not validate.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise_one_line(error, cls, where)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], where: str) -> Self:
        """Validate TOML or JSON that is already parsed.

        Args:
            data: Field names and values.
            where: Source of the data, such as a file name; error messages begin with it.

        Raises:
            UnetzooError: If the data does not validate.
        """
        return cls.from_json(json.dumps(data, default=str), where)


def raise_one_line(error: ValidationError, model: type[BaseModel], where: str = "") -> NoReturn:
    """Raise pydantic's first mistake as one line: source, key, value, and what is allowed.

    Args:
        error: The exception of pydantic.
        model: The class whose validation failed.
        where: Source of the data, such as a file name; the message begins with it.

    Raises:
        UnetzooError: Always.
    """
    # A misspelt option is often the reason why another seems to be missing, so report it first.
    first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"]) or "value"
    at = f"{where}: " if where else ""
    members = _union(first, error)
    others = error.error_count() - max(1, len(members))
    more = f" (and {others} more error{'s' if others > 1 else ''})" if others else ""
    if first["type"] == "json_invalid":
        raise UnetzooError(f"{at}{first['msg'][0].lower()}{first['msg'][1:]}") from None
    kind, got, context = first["type"], first["input"], first.get("ctx", {})
    if len(members) > 1:
        key = ".".join(str(part) for part in first["loc"][:-1])
        raise UnetzooError(f"{at}{key} = {shown(got)}: input should be a valid {' or '.join(members)}{more}") from None
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        fields = _fields_at(model, first["loc"][:-1])
        text = f"unknown option {key!r}; {nearest(first['loc'][-1], fields)}"
    elif kind == "missing":
        text = f"{key} is missing"
    elif kind == "literal_error":
        allowed = [part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")]
        text = f"{key} = {shown(got)} is not a choice; {_choices(got, allowed)}"
    elif kind == "value_error":
        text = f"{key}: {context['error']}" if first["loc"] else str(context["error"])
    else:
        reason = first["msg"][0].lower() + first["msg"][1:]
        text = f"{key} = {shown(got)}: {reason}"
    raise UnetzooError(f"{at}{text}{more}") from None


def _union(first: Mapping[str, Any], error: ValidationError) -> list[str]:
    """Return the types that a union field accepts, or an empty list if the first mistake is not in a union.

    For a union pydantic reports one mistake per type.
    """
    if first["loc"][-1:] not in [(kind,) for kind in _KINDS]:
        return []
    tags = [e["loc"][-1] for e in error.errors() if e["loc"][:-1] == first["loc"][:-1] and e["loc"][-1] in _KINDS]
    return [_KINDS[tag] for tag in tags if isinstance(tag, str)]


_KINDS = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}


def _choices(got: object, allowed: list[str]) -> str:
    """Return the allowed values in words, preceded by the closest to ``got``."""
    close = get_close_matches(str(got), allowed, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the field names of the (nested) model that ``loc`` points into."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            model = inner or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first model class inside a type annotation, or None."""
    # Check the origin first: in Python 3.10 list[int] counts as an instance of type.
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if found := _model_in(part):
            return found
    return None

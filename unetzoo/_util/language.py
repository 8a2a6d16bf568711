"""The language of what a report says: phrases stand in English in the code, their translations in gettext catalogues.

Code asks for a phrase by its English text, ``_("{n} of {total} trials", n=3, total=9)``: a whole sentence or label with
named placeholders, so that a translation may order its words as it likes. In English the text is its own translation.
The catalogue is ``locale/LANGUAGE/LC_MESSAGES/unetzoo.po``; ``python tests/support/phrases.py`` brings it up to date
with the code and compiles it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Any

from unetzoo.errors import UnetzooError, nearest, shown

ENGLISH = "en"
LANGUAGES = {ENGLISH: "en", "zh": "zh-CN"}  # name -> tag in HTML
DOMAIN = "unetzoo"
LOCALE = Path(__file__).with_name("locale")
_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


def check_language(name: str) -> None:
    """Raise `UnetzooError` if there are no reports in this language."""
    if name not in LANGUAGES:
        raise UnetzooError(f"language {shown(name)}: is not known; {nearest(name, LANGUAGES)}")


@contextmanager
def language(name: str) -> Iterator[None]:
    """Say everything in one language inside the ``with`` block.

    Args:
        name: A language of `LANGUAGES`.

    Raises:
        UnetzooError: If the language is unknown.
    """
    check_language(name)
    token = _current.set(name)
    try:
        yield
    finally:
        _current.reset(token)


def current_language() -> str:
    """Return the name of the language in which things are said now."""
    return _current.get()


def language_tag() -> str:
    """Return the current language as HTML names it."""
    return LANGUAGES[_current.get()]


@cache
def _catalogue(name: str) -> NullTranslations:
    return NullTranslations() if name == ENGLISH else translation(DOMAIN, LOCALE, [name])


def N_(phrase: str) -> str:
    """Mark a phrase for the catalogue and return it as it is; `_` translates it where it is said."""
    return phrase


def _(phrase: str, **values: Any) -> str:
    """Return a phrase in the current language, with its placeholders filled.

    Args:
        phrase: The phrase in English; a literal, or marked by `N_`.
        **values: Values of its placeholders; braces in them mean nothing.
    """
    found = _catalogue(_current.get()).gettext(phrase) if phrase else ""  # gettext keeps "" for itself
    return found.format(**values) if values else found


def _p(context: str, phrase: str) -> str:
    """Return a phrase that means something else elsewhere; ``context`` tells translators which of them this is."""
    return _catalogue(_current.get()).pgettext(context, phrase)


def _n(one: str, many: str, n: int, **values: Any) -> str:
    """Return the form of a phrase that the number asks for, with ``{n}`` and the other placeholders filled.

    Args:
        one: The phrase in English for n = 1.
        many: The phrase in English for every other n.
        n: The number.
        **values: Values of the other placeholders.
    """
    return _catalogue(_current.get()).ngettext(one, many, n).format(**{"n": n, **values})

"""The catalogue of phrases: read from the code, brought up to date, compiled.

As a script, ``python tests/support/phrases.py`` adds the code's new phrases to each ``unetzoo.po``, not yet translated,
drops those that the code no longer has, compiles ``unetzoo.mo``, and names what is left to translate. It needs Babel.
"""

from __future__ import annotations

import io
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from unetzoo._util.language import DOMAIN, ENGLISH, LANGUAGES, LOCALE

PACKAGE = Path(__file__).parents[2] / "unetzoo"
METHODS = [("**/templates/*.j2", "jinja2"), ("**.py", "python")]
OPTIONS = {"**/templates/*.j2": {"trimmed": "false"}}
KEYWORDS = {"_": None, "N_": None, "_n": (1, 2), "_p": ((1, "c"), 2)}
FOLDERS = ("records", "report")  # of the package, which have phrases
NOTES = """\
# Translations of what unetzoo's reports say. Numbers, names and commands stay as they are.
# Brought up to date and compiled by: python tests/support/phrases.py"""
WRITTEN = datetime(2026, 1, 1, tzinfo=timezone.utc)  # in the header, which is not to change by itself


def template() -> Catalog:
    """Return all phrases of the code, in the order of its files."""
    found = Catalog(project="unetzoo", charset="utf-8", fuzzy=False)
    for folder in FOLDERS:
        places = extract_from_dir(PACKAGE / folder, METHODS, OPTIONS, KEYWORDS)
        for file, _line, phrase, _comments, context in places:
            if phrase:
                found.add(phrase, locations=[(f"unetzoo/{folder}/{file}", 0)], context=context)
    return found


def catalogue(language: str) -> Catalog:
    """Return the committed translations of a language."""
    with (path(language)).open("rb") as file:
        return read_po(file, locale=language)


def path(language: str) -> Path:
    """Return the file with the translations of a language."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def untranslated(found: Catalog) -> list[str]:
    """Return the phrases that have no translation, or one that is marked as doubtful."""
    return [phrases(m.id)[0] for m in found if m.id and (m.fuzzy or not all(phrases(m.string)))]


def phrases(entry: object) -> tuple[str, ...]:
    """Return the forms of a phrase or of its translation: one, or one for each number."""
    return tuple(entry) if isinstance(entry, (list, tuple)) else (str(entry),)


def placeholders(text: str) -> set[str]:
    """Return the placeholders of a phrase, with their formats."""
    return set(re.findall(r"\{[^{}]*\}", text))


def compiled(found: Catalog) -> bytes:
    """Return the compiled form of translations, which the standard library reads."""
    file = io.BytesIO()
    write_mo(file, found)
    return file.getvalue()


def updated(language: str) -> Catalog:
    """Return the translations of a language for the phrases that the code has now."""
    old = catalogue(language) if path(language).exists() else Catalog(locale=language)
    new = Catalog(
        language,
        DOMAIN,
        NOTES,
        "unetzoo",
        "-",
        creation_date=WRITTEN,
        revision_date=WRITTEN,
        fuzzy=False,
        charset="utf-8",
    )
    for message in template():
        if message.id:
            known = old.get(message.id, message.context)
            new.add(message.id, known.string if known else None, message.locations, context=message.context)
    return new


def main() -> int:
    """Bring the catalogues up to date; return 1 if a phrase has no translation."""
    lacking = 0
    for language in LANGUAGES:
        if language == ENGLISH:
            continue
        new = updated(language)
        path(language).parent.mkdir(parents=True, exist_ok=True)
        with path(language).open("wb") as file:
            write_po(file, new, width=120, include_lineno=False, omit_header=False)
        path(language).with_suffix(".mo").write_bytes(compiled(new))
        for phrase in untranslated(new):
            print(f"{language}: no translation: {phrase}", file=sys.stderr)
            lacking += 1
    return int(bool(lacking))


if __name__ == "__main__":
    sys.exit(main())

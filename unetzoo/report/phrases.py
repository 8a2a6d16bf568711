"""Phrases in templates: of a page, of Markdown, and of a page's script."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from unetzoo._util.language import ENGLISH, _, _n, current_language, language_tag

PLACEHOLDER = re.compile(r"\{(\w+)\}")


def phrases(escape: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what templates use to say something in the language of the report.

    Jinja's own i18n extension fills placeholders by ``%``, which this report's many percentages would have to double.

    Args:
        escape: Makes a value plain text in the kind of document that the template is for.

    Returns:
        ``_`` and ``_n``, whose phrases are kept as they are and whose values are escaped, ``lang``, the language as
        HTML names it, and ``english``, True if that is English.
    """

    def escaped(values: dict[str, Any]) -> dict[str, Any]:
        return {k: v if isinstance(v, (int, float)) else str(escape(v)) for k, v in values.items()}

    def said(phrase: str, **values: Any) -> Markup:
        return Markup(_(phrase, **escaped(values)))  # noqa: S704 (phrases are the code's own, values are escaped)

    def said_n(one: str, many: str, n: int, **values: Any) -> Markup:
        return Markup(_n(one, many, n, **escaped(values)))  # noqa: S704 (as above)

    return {"_": said, "_n": said_n, "lang": language_tag(), "english": current_language() == ENGLISH}


def as_literal(phrase: str, **expressions: str) -> str:
    """Return a phrase as a literal of JavaScript, whose placeholders are filled by the script.

    Args:
        phrase: The phrase in the language of the report.
        **expressions: Expression of the script for each of its placeholders.
    """
    if not expressions:
        return json.dumps(str(phrase), ensure_ascii=False)
    text = re.sub(r"[\\`]|\$(?=\{)", r"\\\g<0>", str(phrase))
    return f"`{re.sub(PLACEHOLDER, lambda found: f'${{{expressions[found[1]]}}}', text)}`"


def in_script(phrase: str, **expressions: str) -> Markup:
    """Return `as_literal` as a page's script takes it: phrases and expressions are the code's own."""
    return Markup(as_literal(phrase, **expressions))  # noqa: S704

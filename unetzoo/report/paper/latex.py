"""Text in LaTeX."""

from __future__ import annotations

from unetzoo._util.text import visible

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\u2212": "$-$",
    "±": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u2013": "--",
    "…": r"\dots{}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "\u00a0": "~",
}


def tex(value: object) -> str:
    r"""Return one line of text in which nothing is a command to LaTeX.

    Letters beyond ASCII stay as they are, for which LuaLaTeX or XeLaTeX with a suitable font may be needed.

    Examples:
        >>> tex("100 % of unet_d2")
        '100 \\% of unet\\_d2'
    """
    return "".join(_SPECIAL.get(c, c) for c in " ".join(visible(str(value)).split()))

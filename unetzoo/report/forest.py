"""The forest plot: differences in Dice from the reference with their simultaneous intervals."""

from __future__ import annotations

from collections.abc import Collection

from matplotlib.figure import Figure

from unetzoo.report.judgement import Judgement
from unetzoo.report.style import canvas
from unetzoo.report.words import p_text, short, signed

VERDICT_COLOURS = {"better": "#0072B2", "worse": "#D55E00", "equivalent": "#009E73", "undecided": "#6b6b6b"}
NO_VERDICT = "#b5b5b5"


def difference(j: Judgement, names: Collection[str]) -> Figure | None:
    """Draw the difference of these variants from the reference, coloured by verdict; None if none is judged.

    The band is the margin. Only differences with a verdict have an interval.
    """
    shown = [c for c in j.against.values() if c.difference is not None and c.model in names]
    shown.sort(key=lambda c: -(c.difference or 0.0))
    if not any(j.judged(c) for c in shown):
        return None
    figure = canvas(8.6, 1.3 + 0.42 * len(shown))
    ax = figure.subplots()
    ax.axvspan(-j.margin, j.margin, color=VERDICT_COLOURS["equivalent"], alpha=0.1, linewidth=0)
    ax.axvline(0, color="#111111", linewidth=1)
    for row, c in enumerate(shown):
        colour = VERDICT_COLOURS.get(c.verdict, NO_VERDICT)
        if j.judged(c) and c.low is not None and c.high is not None:
            ax.plot([c.low, c.high], [row, row], color=colour, linewidth=2.4, solid_capstyle="butt")
        ax.plot([c.difference or 0.0], [row], "o", color=colour, markersize=8, markeredgecolor="white")
        p = f"   p {p_text(c.p_adjusted)}" if j.judged(c) and c.p_adjusted is not None else ""
        text = f"{signed(c.difference)}{p}   {c.agree}/{c.seeds} seeds   {j.standing.wording(c).partition(':')[0]}"
        ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9, color="#333333")
    ax.set_yticks(range(len(shown)), [short(c.model) for c in shown])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.margins(x=0.08)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(f"difference in test Dice to {short(str(j.reference))} (simultaneous 95 % intervals)")
    return figure

"""Quick figures: most of a report's time goes into their layout, which few tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Files whose tests look at figures, or count on the warnings of their layout.
REAL = {"test_figures", "test_predictions", "test_report", "test_tables", "test_isbi_report"}


@pytest.fixture(scope="module", autouse=True)
def quick_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Draw few pixels and lay nothing out, but in the files that look at figures."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.stem not in REAL:
            savefig = Figure.savefig

            def save(self: Figure, *args: Any, **options: Any) -> None:
                savefig(self, *args, **{**options, "dpi": 40})

            patch.setattr(Figure, "savefig", save)
            patch.setattr(ConstrainedLayoutEngine, "execute", lambda self, figure: None)
        yield

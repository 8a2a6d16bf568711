"""The citations. An entry's paper is the one its network is from; a part's source is in the part's docstring."""

from __future__ import annotations

from unetzoo.errors import Strict


class Paper(Strict):
    """Where a network was published. ``code`` is the authors' own, ``code_licence`` its licence as stated there."""

    title: str
    authors: str
    year: int
    arxiv: str | None = None
    doi: str | None = None
    code: str | None = None
    code_licence: str | None = None

    @property
    def link(self) -> str | None:
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else None

    def __str__(self) -> str:
        where = self.link or "unpublished"
        return f"{self.authors}: {self.title} ({self.year}), {where}"


RONNEBERGER_2015 = Paper(
    title="U-Net: Convolutional Networks for Biomedical Image Segmentation",
    authors="Olaf Ronneberger, Philipp Fischer, Thomas Brox",
    year=2015,
    arxiv="1505.04597",
    doi="10.1007/978-3-319-24574-4_28",
    code="https://lmb.informatik.uni-freiburg.de/people/ronneber/u-net/",
    code_licence=None,
)

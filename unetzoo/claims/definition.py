"""A claim as data: the sentence, the questions it is made precise as, and what would confirm or refute each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from unetzoo._util.text import Printable
from unetzoo._util.toml import parse_toml
from unetzoo.errors import Strict, UnetzooError, nearest
from unetzoo.report.words import signed

SCORES = ("dice", "iou", "nsd", "boundary_iou")  # of records; others come from the predictions of the trained networks
WORDS = {
    "dice": "Dice",
    "iou": "IoU",
    "nsd": "surface Dice",
    "boundary_iou": "boundary IoU",
    "cldice": "clDice",
    "recall_thin": "recall on thin structures",
    "recall_wide": "recall on wide structures",
    "dice_at_0.5": "Dice at half the size",
    "dice_at_1": "Dice at the size of training",
    "dice_at_2": "Dice at twice the size",
    "dice_largest": "Dice of the largest component alone",
    "dice_holes": "Dice with holes filled",
    "dice_small": "Dice without small components",
    "dice_threshold": "Dice at the tuned threshold",
    "checkerboard": "checkerboard energy",
}
TRIVIAL = "best trivial predictor"


class Part(Strict):
    """One question of a claim: a measured quantity with its bound, or a comparison of two variants with its margin.

    Attributes:
        name: Short name, unique in the claim and its data set.
        question: The question, in one sentence.
        condition: Completes "holds only if ...", if other parts of the claim do not hold.
        quantity: Name of a measured quantity.
        unit: Unit of the quantity.
        at_least: The part holds if the quantity is at least this.
        at_most: The part holds if the quantity is at most this.
        data: Label of the data set in the suite.
        model: Label of the variant.
        against: Label of the variant that it is compared with, or `TRIVIAL`.
        against_data: Label of the other side's data set, if it is another one with the same test images.
        score: Score that is compared.
        against_score: Score of the other side, if it is another one, such as that of a post-processed mask.
        expect: The part holds if the variant's score is shown to be higher, or shown to be at most ``margin`` lower.
        margin: Largest difference that does not matter.
    """

    name: Printable
    question: Printable
    condition: Printable = ""
    quantity: str | None = None
    unit: Printable = ""
    at_least: float | None = None
    at_most: float | None = None
    data: str | None = None
    model: Printable | None = None
    against: Printable | None = None
    against_data: str | None = None
    score: str = "dice"
    against_score: str | None = None
    expect: Literal["higher", "not lower"] = "higher"
    margin: float = Field(0.01, gt=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Part:
        bounds = [b for b in (self.at_least, self.at_most) if b is not None]
        if self.quantity is not None and (len(bounds) != 1 or self.model is not None):
            raise ValueError(f"part {self.name!r}: a quantity needs one of at_least and at_most, and no model")
        if self.quantity is None and (bounds or self.model is None or self.against is None):
            raise ValueError(f"part {self.name!r} needs a quantity with a bound, or model and against")
        return self

    @property
    def bound(self) -> float:
        """The bound of a quantity."""
        return self.at_least if self.at_least is not None else self.at_most or 0.0

    @property
    def rule(self) -> str:
        """Conditions that confirm and that refute the part, in words that follow from its fields alone."""
        if self.quantity is not None:
            unit = f" {self.unit}" if self.unit else ""
            side, other = ("at least", "below") if self.at_least is not None else ("at most", "above")
            return f"confirmed if the whole interval is {side} {self.bound:g}{unit}, refuted if all of it is {other} it"
        mine, others = (WORDS.get(score, score) for score in (self.score, self.against_score or self.score))
        what, other = f"{mine} of {self.model}", f"{others} of {self.against}"
        if self.against_data is not None:
            other += f" on {self.against_data}"
        if self.expect == "higher":
            return (
                f"confirmed if {what} is shown to be higher than {other}, refuted if it is shown to be lower, or "
                f"higher by no more than {self.margin:g}"
            )
        return (
            f"confirmed if {what} is shown to be at most {self.margin:g} below {other}, refuted if it is shown to be "
            f"further below than {signed(-self.margin, 2)}"
        )


class Evidence(Strict):
    """A comparison in a committed report that bears on a claim, but whose question was not stated beforehand.

    Attributes:
        report: Folder of the report, relative to the repository.
        data: Label of the data set, if the report is a collection.
        model: Label of a variant.
        against: Label of the variant that it is compared with.
        score: Metric of the report.
        remark: What limits its bearing on the claim.
    """

    report: str
    data: str | None = None
    model: Printable
    against: Printable
    score: str = "dice"
    remark: Printable = ""


class Needs(Strict):
    """Requirements of a claim on a data set.

    Attributes:
        train: Training images.
        test: Test images, or groups of them where images were sampled together.
        thin: Share of the foreground that is at most ``thin_width`` px wide.
        thin_width: Widest structure, in px, that counts as thin.
        two_classes: True if the data set must have one foreground class alone.
    """

    train: int = 1
    test: int = 0
    thin: float = 0.0
    thin_width: float = 5.0
    two_classes: bool = False


class Claim(Strict):
    """A sentence that is said of U-Net.

    Attributes:
        name: Name of the claim, that of its file.
        order: Place on the page.
        title: Heading.
        zh: The sentence in Chinese, as it stands in the text the project began with.
        en: The sentence in English.
        measurement: Name of a measurement in `unetzoo.claims.measurements`.
        suite: Suite file with the trainings, relative to the claim's file; several claims may share one.
        on_data: True if the claim can be asked of a user's own data.
        needs: What that data must have.
        parts: The questions.
        evidence: Committed reports that bear on the claim.
        limits: What the answer does not say.
    """

    name: str
    order: int
    title: Printable
    zh: Printable
    en: Printable
    measurement: str | None = None
    suite: str | None = None
    on_data: bool = False
    needs: Needs = Needs()
    parts: list[Part] = Field(min_length=1)
    evidence: list[Evidence] = []
    limits: list[Printable] = []

    @model_validator(mode="after")
    def _fits_together(self) -> Claim:
        names = [(part.data, part.name) for part in self.parts]
        if twice := [name for k, (_, name) in enumerate(names) if names[k] in names[:k]]:
            raise ValueError(f"parts: the name {twice[0]!r} occurs twice; names of parts on one data set must differ")
        if self.measurement is None and any(part.quantity for part in self.parts):
            raise ValueError("a part has a quantity, which needs a measurement")
        if self.suite is None and any(part.model for part in self.parts):
            raise ValueError("a part compares models, which needs a suite")
        return self

    @property
    def results_folder(self) -> str:
        """Name of the folder of the suite's results, that of the suite's file."""
        return Path(self.suite or "").stem


def claims_folder() -> Path:
    """Return the folder of the claims that unetzoo comes with.

    Raises:
        UnetzooError: If they are not there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "definitions", package.parents[1] / "benchmarks" / "claims"):
        if any(folder.glob("*.toml")):
            return folder
    raise UnetzooError("the claims are missing from this installation; give their folder by --claims DIR")


def read_claims(folder: Path, only: str | None = None) -> list[Claim]:
    """Read the claims of a folder, in their order.

    Args:
        folder: Folder of TOML files, one for each claim.
        only: Names of the claims to read, 'a,b'; None for all.

    Raises:
        UnetzooError: If there are none, a file is not valid, or a name is not one of them.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if not paths:
        raise UnetzooError(f"{folder}: has no claims (*.toml); give the folder of benchmarks/claims")
    names = list(paths) if only is None else [name.strip() for name in only.split(",")]
    for name in names:
        if name not in paths:
            raise UnetzooError(f"--only {name!r} is not a claim; {nearest(name, paths)}")
    return sorted((_read(paths[name]) for name in dict.fromkeys(names)), key=lambda claim: (claim.order, claim.name))


def _read(path: Path) -> Claim:
    try:
        table: dict[str, Any] = parse_toml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnetzooError(f"{path}: is not UTF-8 text") from None
    return Claim.from_mapping({**table, "name": path.stem}, str(path))

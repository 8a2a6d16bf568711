"""The proposed meaning of mask values, and the questions that remain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unetzoo.data.folders.pairs import Finding
from unetzoo.data.folders.reading import ClassReading, Value


@dataclass(frozen=True)
class Question:
    """A question that the files leave open.

    Attributes:
        kind: Kind of the question, in one or a few fixed words for machines.
        text: The question, with the proposed answer, in one line.
        answers: Lines of ``dataset.toml`` that give another answer.
    """

    kind: str
    text: str
    answers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.text} Otherwise: {'; or '.join(self.answers)}"


@dataclass
class MaskReading:
    """The proposed meaning of mask values.

    Attributes:
        kind: The masks, in words.
        classes: Proposed classes; none if the values make no sense.
        ignore: Values that are void.
        instances: True if the values are instance ids.
        findings: Remarks on the proposal.
        questions: Doubts that only the user can settle.
    """

    kind: str = ""
    classes: list[ClassReading] = field(default_factory=list)
    ignore: list[Value] = field(default_factory=list)
    instances: bool = False
    findings: list[Finding] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def add(self, severity: str, kind: str, text: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, kind, text))  # type: ignore[arg-type]

    def ask(self, kind: str, text: str, *answers: str) -> None:
        """Add a question with the lines of ``dataset.toml`` that give another answer."""
        self.questions.append(Question(kind, text, answers))

    def pair(self, background: Value, *foreground: Value) -> None:
        """Set two classes, of which the second is scored."""
        self.classes = [
            ClassReading(name="background", values=[background], foreground=False),
            ClassReading(name="foreground", values=list(foreground)),
        ]

    def set_ids(self, void: Sequence[int]) -> None:
        """Set the classes of instance ids: everything from 1 on except ``void`` is the foreground."""
        values: list[Value] = []
        low = 1
        for value in sorted(v for v in void if v > 0):
            if low < value:
                values.append(f"{low}-{value - 1}")
            low = value + 1
        self.instances = True
        self.pair(0, *values, f"{low}-")

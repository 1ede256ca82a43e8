"""What a report consists of, whatever it is written as: sections, tables, charts, responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.report.tables import figure, share

# How the cells of a column are written: words, whole numbers, figures such as scores (3.20), shares
# and coefficients (.31), or identifiers.
Form = Literal["text", "count", "figure", "share", "p", "code"]


@dataclass(frozen=True)
class Missing:
    """A figure that there is not, and why."""

    reason: str


Cell = str | int | float | Estimate | Missing | None


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and how its cells are written."""

    name: str
    form: Form = "text"

    @property
    def is_number(self) -> bool:
        """Whether the cells are aligned right."""
        return self.form in ("count", "figure", "share", "p")


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What stands above it.
        columns: Its columns.
        rows: Its cells, one for each column.
        note: What its figures mean.
        shades: How dark each cell of figures is, in [0, 1], [rows][columns after the first]; None
            for a table without shades.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str | None = None
    shades: Sequence[Sequence[float]] | None = None

    @property
    def reasons(self) -> list[str]:
        """Why figures are missing, each reason once."""
        cells = (cell for row in self.rows for cell in row)
        return list(dict.fromkeys(each.reason for each in cells if isinstance(each, Missing)))


@dataclass(frozen=True)
class Chart:
    """A drawing: what it shows in words, and its SVG."""

    title: str
    description: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        key: Its name in links and files.
        title: Its heading.
        lead: What it says, in a sentence or two.
        parts: Its tables and charts.
        absent: Why it is not there, in one line; None if it is.
    """

    key: str
    title: str
    lead: str = ""
    parts: Sequence[Table | Chart] = ()
    absent: str | None = None

    @property
    def tables(self) -> list[Table]:
        """Its tables."""
        return [part for part in self.parts if isinstance(part, Table)]


@dataclass(frozen=True)
class CutText:
    """Text of which a report shows the beginning.

    Attributes:
        text: What is shown.
        length: How many characters the whole has.
    """

    text: str
    length: int

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it."""
        return len(self.text) < self.length


@dataclass(frozen=True)
class ShownScore:
    """A score in the list of responses; see `CriterionScore`."""

    judge: str
    key: str
    score: float | None
    label: int | None
    scale: str
    flags: tuple[str, ...] = ()
    reason: str | None = None
    explanation: CutText | None = None


@dataclass(frozen=True)
class ShownResponse:
    """A response in the list of responses.

    Attributes:
        number: Its place among the responses listed, from 1.
        id: What its file calls the problem.
        model: The model that wrote it.
        where: Where it stands.
        length: Characters of the whole response.
        question: The problem; None where texts are not shown.
        response: The response; None where texts are not shown.
        scores: All scores of it, by criterion and judge.
        differences: By criterion how far scores lie apart, as a share of the scale.
        outcomes: Further numbers of the row, such as exact_match.
    """

    number: int
    id: str
    model: str | None
    where: str
    length: int
    question: CutText | None
    response: CutText | None
    scores: Sequence[ShownScore]
    differences: Mapping[str, float] = field(default_factory=dict)
    outcomes: Mapping[str, float] = field(default_factory=dict)

    @property
    def difference(self) -> float | None:
        """The largest difference."""
        return max(self.differences.values(), default=None)

    @property
    def furthest(self) -> str | None:
        """The criterion of the largest difference."""
        return max(self.differences, key=self.differences.__getitem__, default=None)

    @property
    def flags(self) -> list[str]:
        """The flags of all scores, each once."""
        return list(dict.fromkeys(flag for score in self.scores for flag in score.flags))

    @property
    def is_unscored(self) -> bool:
        """Whether a score is missing."""
        return any(score.score is None for score in self.scores)


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: Its heading.
        facts: The first things to know: names and values.
        sections: Its sections.
        responses: The responses listed, most telling first.
        about_responses: How they were chosen.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    responses: Sequence[ShownResponse] = ()
    about_responses: str = ""


def written(cell: Cell, form: Form) -> str:
    """Write a cell for people to read: an estimate as its value and 95% interval."""
    if cell is None:
        return "–"
    if isinstance(cell, Missing):
        return "not defined"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Estimate):
        value = _number(cell.value, form)
        if cell.low is None or cell.high is None:
            return value
        return f"{value} [{_number(cell.low, form)}, {_number(cell.high, form)}]"
    return _number(cell, form)


def _number(value: float, form: Form) -> str:
    if form == "count":
        return f"{value:,.0f}"
    if form == "p":
        return "<.001" if value < 0.0005 else f"{value:.3f}".replace("0.", ".", 1)
    # Rounding leaves no sign before a zero.
    shown = abs(value) if abs(value) < 0.005 else value
    return share(shown) if form == "share" else figure(shown)


def plain_value(cell: Cell) -> Any:
    """Return a cell as a value that JSON can hold."""
    if isinstance(cell, Missing):
        return {"value": None, "reason": cell.reason}
    if isinstance(cell, Estimate):
        return {
            name: None if value is None else round(float(value), 6)
            for name, value in (("value", cell.value), ("low", cell.low), ("high", cell.high))
        }
    return round(cell, 6) if isinstance(cell, float) else cell

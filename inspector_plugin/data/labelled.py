"""Problems with several responses of which it is known how good they are.

Two forms of rows are read: one row a problem, with `responses` and which of the two is `preferred`;
and one row a response, with a label, where the rows of a problem share its id or its question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.data.jsonl import read_rows, response_field, text_field
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.stored_scores import RESPONSE_FIELDS
from inspector_plugin.errors import DataError

PREFERENCES, SCORES = "preferences", "scores"
# Where a label may stand; a dot leads into an object, and a list of numbers counts as its mean.
LABEL_FIELDS = ("scores.helpfulness", "scores", "score", "label", "is_correct")
# LLMBar's subsets whose worse response was written to look better.
POOLED_GROUPS = {"adversarial": frozenset({"neighbor", "gptinst", "gptout", "manual"})}


@dataclass(frozen=True)
class LabelledProblem:
    """A problem and responses to it.

    Attributes:
        problem: The problem's name by `problem_identity`.
        id: What the data calls it.
        question: Its text.
        responses: The responses.
        labels: How good each response is, higher is better; None where that is not known.
        group: The part of the data that it belongs to, if the data has parts.
        rubric: A rubric that people wrote for it, in prose, if there is one.
        dataset: The data set it comes from, if the row names one.
    """

    problem: str
    id: str
    question: str
    responses: tuple[str, ...]
    labels: tuple[float | None, ...]
    group: str | None = None
    rubric: str | None = None
    dataset: str | None = None

    @property
    def contrast(self) -> tuple[int, int] | None:
        """The positions of the best and the worst response; None if no two labels differ."""
        known = [(label, place) for place, label in enumerate(self.labels) if label is not None]
        if not known:
            return None
        best = max(known, key=lambda pair: (pair[0], -pair[1]))
        worst = min(known)
        return (best[1], worst[1]) if best[0] > worst[0] else None


@dataclass(frozen=True)
class LabelledFile:
    """What a file of labelled responses holds.

    Attributes:
        path: The file.
        name: Its name, without folder and endings.
        kind: "preferences" (which of two is better) or "scores" (how good each is).
        problems: Its problems. One that occurs in several rows of pairs occurs several times.
    """

    path: Path
    name: str
    kind: str
    problems: tuple[LabelledProblem, ...]

    @property
    def groups(self) -> list[str]:
        """The names of its parts, in the order in which they first occur."""
        return list(dict.fromkeys(each.group for each in self.problems if each.group is not None))


@dataclass(frozen=True)
class LabelledForm:
    """Where in the rows things stand.

    Attributes:
        label_fields: Fields that may hold a response's label; the first that a row has counts.
        group_field: The field that names the part a row belongs to.
        rubric_field: The field with a rubric that people wrote.
    """

    label_fields: tuple[str, ...] = LABEL_FIELDS
    group_field: str = "subset"
    rubric_field: str = "rubric"


def read_labelled(path: str | Path, form: LabelledForm | None = None) -> LabelledFile:
    """Read problems with their responses and labels.

    Args:
        path: A JSONL file, plain or gzipped.
        form: Where in the rows things stand.

    Raises:
        DataError: If a row is malformed, rows of both forms are mixed, or there are none.
    """
    path, form = Path(path), form or LabelledForm()
    rows = [(f"{path}, line {number}", row) for number, row in read_rows(path)]
    if not rows:
        raise DataError(f"{path} holds no rows.")
    paired = ["responses" in row for _, row in rows]
    if any(paired) and not all(paired):
        raise DataError(f"{path}: some rows have 'responses' and others do not; use two files.")
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    if paired[0]:
        problems = tuple(_of_pair(row, form, where) for where, row in rows)
        return LabelledFile(path, name, PREFERENCES, problems)
    return LabelledFile(path, name, SCORES, tuple(_of_responses(rows, form)))


def sample(file: LabelledFile, count: int | None, seed: int) -> LabelledFile:
    """Draw problems of each part of a file.

    Args:
        file: The file.
        count: The most rows of each part; all if None.
        seed: Seed of the draw.

    Returns:
        The file with the rows drawn, in their order.
    """
    if count is None:
        return file
    random = np.random.default_rng(seed)
    kept: set[int] = set()
    for group in [*file.groups, None]:
        places = [i for i, each in enumerate(file.problems) if each.group == group]
        drawn = random.permutation(len(places))[:count]
        kept |= {places[place] for place in drawn}
    problems = tuple(each for i, each in enumerate(file.problems) if i in kept)
    return LabelledFile(file.path, file.name, file.kind, problems)


def _of_pair(row: Mapping[str, Any], form: LabelledForm, where: str) -> LabelledProblem:
    question = text_field(row, ("question",), where)
    responses, preferred = row["responses"], row.get("preferred")
    if not isinstance(responses, list) or len(responses) < 2:
        raise DataError(f"{where}: 'responses' must be a list of two texts or more.")
    if not all(isinstance(each, str) for each in responses):
        raise DataError(f"{where}: 'responses' must hold texts only.")
    if preferred is not None and (
        type(preferred) is not int or not 0 <= preferred < len(responses)
    ):
        raise DataError(
            f"{where}: 'preferred' must be the position of a response, from 0 to "
            f"{len(responses) - 1}, not {preferred!r:.40}."
        )
    labels = tuple(
        None if preferred is None else float(place == preferred) for place in range(len(responses))
    )
    return _problem(row, form, where, question, tuple(responses), labels)


def _of_responses(
    rows: Iterable[tuple[str, Mapping[str, Any]]], form: LabelledForm
) -> list[LabelledProblem]:
    """Put the responses to each problem together, in the order in which problems first occur."""
    parts: dict[tuple[str, str], list[tuple[str, Mapping[str, Any], str]]] = {}
    for where, row in rows:
        question = text_field(row, ("question",), where)
        key = (str(row.get("id", "")), problem_identity(question))
        parts.setdefault(key, []).append((where, row, question))
    problems = []
    for together in parts.values():
        responses, labels = [], []
        for where, row, _ in together:
            text, missing = response_field(row, RESPONSE_FIELDS, where)
            if missing is None:
                responses.append(text)
                labels.append(_label(row, form.label_fields, where))
        if responses:
            where, row, question = together[0]
            problems.append(_problem(row, form, where, question, tuple(responses), tuple(labels)))
    return problems


def _problem(
    row: Mapping[str, Any],
    form: LabelledForm,
    where: str,
    question: str,
    responses: tuple[str, ...],
    labels: tuple[float | None, ...],
) -> LabelledProblem:
    identity = problem_identity(question)
    group, rubric = row.get(form.group_field), row.get(form.rubric_field)
    dataset = row.get("dataset")
    return LabelledProblem(
        problem=identity,
        id=str(row.get("id", identity)),
        question=question,
        responses=responses,
        labels=labels,
        group=None if group is None else str(group),
        rubric=rubric if isinstance(rubric, str) and rubric.strip() else None,
        dataset=None if dataset is None else text_field(row, ("dataset",), where),
    )


def _label(row: Mapping[str, Any], fields: Sequence[str], where: str) -> float | None:
    """Find a row's label; None if it has none of the fields.

    Raises:
        DataError: If a field holds something else than a number or numbers.
    """
    for field in fields:
        value: Any = row
        for part in field.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None or isinstance(value, Mapping):
            continue
        numbers = value if isinstance(value, list) and value else [value]
        if all(_is_number(each) for each in numbers):
            return float(np.mean(numbers))
        raise DataError(f"{where}: field {field!r} is no label: {value!r:.40} is not a number.")
    return None


def _is_number(value: Any) -> bool:
    """Whether it is a number or a truth value, which counts as 1 or 0."""
    return isinstance(value, (int, float)) and bool(np.isfinite(value))

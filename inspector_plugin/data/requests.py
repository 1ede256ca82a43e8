"""From rows of a file, or of any other source, to requests for a judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from inspector_plugin.data.eval_logs import is_sample_log, with_problem
from inspector_plugin.data.jsonl import read_rows, response_field, text_field
from inspector_plugin.data.stored_scores import JUDGEMENTS, RESPONSE_FIELDS
from inspector_plugin.errors import DataError, one_of
from inspector_plugin.schema.criteria import Criterion, own_rubric
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE


@dataclass(frozen=True)
class RequestForm:
    """How rows become requests.

    Attributes:
        criteria: The criteria to judge a row on.
        criterion_field: The field that names the one of `criteria` to judge a row on.
        rubric_field: The field with a row's own rubric, to judge by instead of `criteria`.
        dataset: The data set of rows that name none.
    """

    criteria: tuple[Criterion, ...] = ROSCOE
    criterion_field: str | None = None
    rubric_field: str | None = None
    dataset: str | None = None

    def request(self, row: Mapping[str, Any], where: str) -> JudgeRequest:
        """Make the request of a row.

        Args:
            row: It has `question` and `response` (or `prediction`), and perhaps `id` and
                `dataset`.
            where: Where the row stands, for error messages, such as "answers.jsonl, line 3".

        Raises:
            DataError: If a field is missing or malformed.
        """
        identifier = row.get("id")
        own = row.get("dataset") is not None
        return JudgeRequest(
            question=text_field(row, ("question",), where),
            response=response_field(row, RESPONSE_FIELDS, where)[0],
            criteria=self._criteria(row, where),
            dataset=text_field(row, ("dataset",), where) if own else self.dataset,
            id=None if identifier is None else str(identifier),
        )

    def _criteria(self, row: Mapping[str, Any], where: str) -> tuple[Criterion, ...]:
        if self.rubric_field is not None:
            rubric = text_field(row, (self.rubric_field,), where)
            if not rubric.strip():
                raise DataError(
                    f"{where}: field {self.rubric_field!r} is empty; every row needs a rubric."
                )
            return (own_rubric(rubric),)
        if self.criterion_field is None:
            return self.criteria
        key = text_field(row, (self.criterion_field,), where)
        chosen = tuple(criterion for criterion in self.criteria if criterion.key == key)
        if not chosen:
            keys = [criterion.key for criterion in self.criteria]
            raise DataError(f"{where}: {one_of(key, keys, 'criterion')}")
        return chosen


@dataclass(frozen=True)
class RequestRow:
    """A row, and what it asks of the judges.

    Attributes:
        row: The row.
        request: What it asks.
        without_response: Why there is no response to judge; None where there is one.
    """

    row: Mapping[str, Any]
    request: JudgeRequest
    without_response: str | None = None


def read_requests(
    path: str | Path, form: RequestForm | None = None, limit: int | None = None
) -> list[RequestRow]:
    """Read and check the rows of a JSONL file, plain or gzipped.

    A line of an lm_eval sample log gets the fields `question` and `response`, of its document and
    its first response.

    Args:
        path: The file.
        form: How its rows become requests; on the criteria `roscoe` if None.
        limit: The most rows to read, from the first.

    Raises:
        DataError: If the file or a row is malformed, or there are no rows.
    """
    numbered = (
        (where, with_problem(row, where) if is_sample_log(row) else row)
        for where, row in ((f"{path}, line {number}", row) for number, row in read_rows(path))
    )
    rows = make_requests(islice(numbered, limit), form)
    if not rows:
        raise DataError(f"{path} holds no rows to judge.")
    return rows


def make_requests(
    rows: Iterable[tuple[str, Mapping[str, Any]]], form: RequestForm | None = None
) -> list[RequestRow]:
    """Make the requests of rows, each given with where it stands.

    Raises:
        DataError: If a row is malformed.
    """
    form = form or RequestForm()
    made = []
    for where, row in rows:
        if not isinstance(row.get(JUDGEMENTS, {}), Mapping):
            raise DataError(
                f"{where}: field {JUDGEMENTS!r} is not an object, so none can be added."
            )
        request = form.request(row, where)
        made.append(RequestRow(row, request, response_field(row, RESPONSE_FIELDS, where)[1]))
    return made


def problems_of_requests(requests: Sequence[JudgeRequest]) -> list[str]:
    """Name the problem of each request; see `problem_names`."""
    from inspector_plugin.data.problems import problem_names

    ids = [request.question if request.id is None else request.id for request in requests]
    return problem_names(ids, [request.question for request in requests])

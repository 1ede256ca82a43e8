"""From rows of a file, or of any other source, to requests for a judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from inspector_plugin.data.benchmarks import Question, is_template
from inspector_plugin.data.jsonl import response_field, text_field
from inspector_plugin.data.rubrics import for_problem
from inspector_plugin.data.stored_scores import JUDGEMENTS, RESPONSE_FIELDS
from inspector_plugin.errors import DataError, one_of
from inspector_plugin.schema.criteria import Criterion, own_rubric
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE


@dataclass(frozen=True)
class RowFields:
    """The fields that hold what a row is made of, where they have other names than usual.

    Attributes:
        question: The field with the problem, or a Jinja template over the row's fields (in sample
            logs of lm_eval: over the document's); None for `question`.
        response: The field with the response, or a template; None for `response` or `prediction`.
        id: The field with the problem's id; None for `id`.
        model: The field with the name of the model that wrote the response; None for `model`.
    """

    question: str | None = None
    response: str | None = None
    id: str | None = None
    model: str | None = None

    def named(self, row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Give a row its usual fields, `question`, `response`, `id` and `model`.

        Args:
            row: The row; it keeps its other fields.
            where: Where it stands, for error messages.

        Raises:
            DataError: If it lacks one of the fields.
        """
        if self is _USUAL or self == _USUAL:
            return row
        given = dict(row)
        if self.question is not None:
            given["question"] = (
                _rendered(row, self.question, where)
                if is_template(self.question)
                else text_field(row, (self.question,), where)
            )
        if self.response is not None and is_template(self.response):
            given["response"] = _rendered(row, self.response, where)
        elif self.response is not None:
            response, missing = response_field(row, (self.response,), where)
            given["response"] = row[self.response] if missing else response
        for name, field_name in (("id", self.id), ("model", self.model)):
            if field_name is not None:
                if field_name not in row:
                    text_field(row, (field_name,), where)  # says which fields there are
                value = row[field_name]
                given[name] = None if value is None else str(value)
        return given


_USUAL = RowFields()


def _rendered(row: Mapping[str, Any], template: str, where: str) -> str:
    try:
        return _template(template).of(row)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


@lru_cache(maxsize=16)
def _template(text: str) -> Question:
    return Question(text)


@dataclass(frozen=True)
class RequestForm:
    """How rows become requests.

    Attributes:
        criteria: The criteria to judge a row on.
        criterion_field: The field that names the one of `criteria` to judge a row on.
        rubric_field: The field with a row's own rubric, to judge by instead of `criteria`.
        dataset: The data set of rows that name none.
        fields: What the fields of rows are called.
    """

    criteria: tuple[Criterion, ...] = ROSCOE
    criterion_field: str | None = None
    rubric_field: str | None = None
    dataset: str | None = None
    fields: RowFields = _USUAL

    def request_row(self, row: Mapping[str, Any], where: str) -> RequestRow:
        """Make a row of what it asks of the judges; see `request`.

        Where all criteria judge the question alone, the row needs no response.
        """
        if not isinstance(row.get(JUDGEMENTS, {}), Mapping):
            raise DataError(
                f"{where}: field {JUDGEMENTS!r} is not an object, so none can be added."
            )
        row = self.fields.named(row, where)
        if self._judges_questions and not any(name in row for name in RESPONSE_FIELDS):
            row = {**row, RESPONSE_FIELDS[0]: ""}  # for whatever reads the output
        response, missing = response_field(row, RESPONSE_FIELDS, where)
        request = self._request(row, response, where)
        return RequestRow(row, request, None if self._judges_questions else missing)

    @cached_property
    def _judges_questions(self) -> bool:
        """Whether all criteria judge the question alone; a rubric in their place does not."""
        return self.rubric_field is None and all(
            criterion.of_question for criterion in self.criteria
        )

    def request(self, row: Mapping[str, Any], where: str) -> JudgeRequest:
        """Make the request of a row.

        Args:
            row: It has `question` and `response` (or `prediction`), and perhaps `id` and
                `dataset`.
            where: Where the row stands, for error messages, such as "answers.jsonl, line 3".

        Raises:
            DataError: If a field is missing or malformed.
        """
        return self._request(row, response_field(row, RESPONSE_FIELDS, where)[0], where)

    def _request(self, row: Mapping[str, Any], response: str, where: str) -> JudgeRequest:
        identifier = row.get("id")
        own = row.get("dataset") is not None
        question = text_field(row, ("question",), where)
        return JudgeRequest(
            question=question,
            response=response,
            criteria=self._criteria(row, question, where),
            dataset=text_field(row, ("dataset",), where) if own else self.dataset,
            id=None if identifier is None else str(identifier),
        )

    def _criteria(self, row: Mapping[str, Any], question: str, where: str) -> tuple[Criterion, ...]:
        if self.rubric_field is not None:
            rubric = text_field(row, (self.rubric_field,), where)
            if not rubric.strip():
                raise DataError(
                    f"{where}: field {self.rubric_field!r} is empty; every row needs a rubric."
                )
            return (own_rubric(rubric),)
        return for_problem(self._chosen(row, where), question)

    def _chosen(self, row: Mapping[str, Any], where: str) -> tuple[Criterion, ...]:
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
    """Read and check all rows of a file; `InputRows` is the same without holding them.

    Args:
        path: The file: a sample log of lm_eval, JSONL, JSON, CSV or Parquet.
        form: How its rows become requests; on the criteria `roscoe` if None.
        limit: The most rows to read, from the first.

    Raises:
        DataError: If the file or a row is malformed, or there are no rows.
    """
    from inspector_plugin.data.inputs import InputRows

    return list(InputRows([Path(path)], form, limit))


def make_requests(
    rows: Iterable[tuple[str, Mapping[str, Any]]], form: RequestForm | None = None
) -> Iterator[RequestRow]:
    """Make the requests of rows, each given with where it stands.

    Raises:
        DataError: If a row is malformed.
    """
    form = form or RequestForm()
    for where, row in rows:
        yield form.request_row(row, where)


def problems_of_requests(requests: Sequence[JudgeRequest]) -> list[str]:
    """Name the problem of each request; see `problem_names`."""
    from inspector_plugin.data.problems import problem_names

    ids = [request.question if request.id is None else request.id for request in requests]
    return problem_names(ids, [request.question for request in requests])

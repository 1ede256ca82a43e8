"""For notebooks and scripts: load a judge, score responses, look at the scores, compare two judges.

docs/python.md shows how. Everything goes through the same pipeline as on the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inspector_plugin.agreement.compare import Agreement, agreement_by_criterion
from inspector_plugin.data.requests import (
    RequestForm,
    RequestRow,
    make_requests,
    problems_of_requests,
)
from inspector_plugin.errors import DataError, InspectorError
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.options import OptionValue
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.report.judge_figures import JudgeSummary, summarise_judge
from inspector_plugin.report.summary import print_summaries
from inspector_plugin.schema.criteria import TOTAL, Criterion
from inspector_plugin.schema.criteria_files import built_in_criterion, parse_criteria
from inspector_plugin.schema.records import Judgement

if TYPE_CHECKING:
    import pandas

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Scored:
    """Responses with one judge's judgements.

    Attributes:
        judge: What the judge is called in tables.
        rows: The responses as they were given, and the requests made of them.
        judgements: The judgements, in the same order.
    """

    judge: str
    rows: Sequence[RequestRow]
    judgements: Sequence[Judgement]

    def to_frame(self) -> pandas.DataFrame:
        """Return a table: the columns of the rows, a column for each criterion, and `total`.

        What has no score is NaN there; `reasons` says why.

        Raises:
            InspectorError: If pandas is not installed.
        """
        rows = [
            {
                **row.row,
                **{key: score.score for key, score in judgement.scores.items()},
                TOTAL: judgement.total,
            }
            for row, judgement in zip(self.rows, self.judgements, strict=True)
        ]
        return _pandas().DataFrame(rows)

    def to_long_frame(self) -> pandas.DataFrame:
        """Return a table with a row for each response and criterion.

        Its columns are `row` (the position of the response), `id`, `criterion`, `score`, `label`,
        `minimum` and `maximum` of the scale, `reason`, `flags` and `explanation`.

        Raises:
            InspectorError: If pandas is not installed.
        """
        rows = [
            {
                "row": position,
                "id": self.rows[position].request.id,
                "criterion": key,
                "score": score.score,
                "label": score.label,
                "minimum": None if score.scale is None else score.scale.minimum,
                "maximum": None if score.scale is None else score.scale.maximum,
                "reason": score.reason,
                "flags": ", ".join(score.flags),
                "explanation": score.explanation,
            }
            for position, judgement in enumerate(self.judgements)
            for key, score in judgement.scores.items()
        ]
        return _pandas().DataFrame(rows)

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason for not scoring occurs."""
        return dict(self.summary().overall.unscored)

    def summary(self) -> JudgeSummary:
        """Sum up: mean, coverage, reasons and flags of each criterion."""
        return summarise_judge(self.judge, self.judgements)

    def print(self) -> None:
        """Print the summary as `inspector score` does."""
        print_summaries([self.summary()])


@dataclass(frozen=True)
class Comparison:
    """How far a judge agrees with a reference.

    Attributes:
        judge: The judge's name.
        reference: The reference's name.
        criteria: The agreement on each criterion by key, and last "overall".
    """

    judge: str
    reference: str
    criteria: Mapping[str, Agreement]

    def to_frame(self) -> pandas.DataFrame:
        """Return a table with a row for each criterion and statistic: value, low, high, n.

        Raises:
            InspectorError: If pandas is not installed.
        """
        rows = [
            {
                "criterion": key,
                "statistic": name,
                "value": None if estimate is None else estimate.value,
                "low": None if estimate is None else estimate.low,
                "high": None if estimate is None else estimate.high,
                "n": agreement.n,
            }
            for key, agreement in self.criteria.items()
            for name, estimate in agreement.statistics.items()
        ]
        return _pandas().DataFrame(rows)


def load_judge(spec: str, **defaults: OptionValue) -> Judge:
    """Load a judge.

    Args:
        spec: `name` or `name:key=value,key=value`, as for `--judge`.
        defaults: Options that the specification doesn't set, such as `device="cuda"`.

    Returns:
        The judge. Close it when done, or use it in a `with` statement.

    Raises:
        InspectorError: If the judge or an option cannot be used.
    """
    return create_judge(spec, defaults)


def score(
    judge: Judge,
    rows: Rows | pandas.DataFrame,
    *,
    criteria: str | Iterable[str | Criterion] | None = None,
    dataset: str | None = None,
    name: str | None = None,
    cache: bool = True,
    progress: bool = True,
) -> Scored:
    """Score responses.

    Args:
        judge: The judge, from `load_judge`.
        rows: Dictionaries, or a DataFrame, with `question` and `response` (or `prediction`), and
            perhaps `id` and `dataset`.
        criteria: As for `--criteria`, or `Criterion`s and keys of built-in ones; `roscoe` if None.
        dataset: The data set of rows that name none.
        name: What to call the judge in tables; its specification by default.
        cache: Whether the judge cache is read and filled.
        progress: Whether to show progress.

    Raises:
        InspectorError: If a row or a criterion cannot be used, or the judge cannot go on.
    """
    form = RequestForm(criteria=_criteria(criteria), dataset=dataset)
    records = ((f"rows[{place}]", row) for place, row in enumerate(_records(rows)))
    made = list(make_requests(records, form))
    name = name or judge.spec or type(judge).__name__
    with opened_cache(cache) as opened:
        requests = [row.request for row in made]
        judgements = judge_all(judge, requests, name=name, progress=progress, cache=opened)
    return Scored(name, made, judgements)


def compare(
    scored: Scored, reference: Scored, *, seed: int = 0, resamples: int = 1000
) -> Comparison:
    """Compare two judges' scores of the same responses.

    Args:
        scored: The judge's.
        reference: The reference's, of the same rows in the same order.
        seed: Seed of the bootstrap.
        resamples: Number of resamples.

    Raises:
        DataError: If these are not the same responses.
    """
    ours = [(row.request.question, row.request.response) for row in scored.rows]
    theirs = [(row.request.question, row.request.response) for row in reference.rows]
    if ours != theirs:
        raise DataError(
            f"compare() takes scores of the same responses in the same order, and got "
            f"{len(ours)} and {len(theirs)} that differ; score the same rows with both judges."
        )
    problems = problems_of_requests([row.request for row in scored.rows])
    agreement = agreement_by_criterion(
        scored.judgements, reference.judgements, problems, seed=seed, resamples=resamples
    )
    return Comparison(scored.judge, reference.judge, agreement)


def _criteria(given: str | Iterable[str | Criterion] | None) -> tuple[Criterion, ...]:
    if given is None or isinstance(given, str):
        return parse_criteria(given)
    parts = list(given)
    if all(isinstance(part, str) for part in parts):
        return parse_criteria([part for part in parts if isinstance(part, str)])
    return tuple(
        part if isinstance(part, Criterion) else built_in_criterion(part) for part in parts
    )


def _records(rows: Rows | pandas.DataFrame) -> list[Mapping[str, Any]]:
    if isinstance(rows, (Mapping, str)):
        raise DataError("score() takes a list of rows or a DataFrame, not a single row.")
    to_dict = getattr(rows, "to_dict", None)
    if to_dict is not None:  # a DataFrame; what a cell lacks is NaN there
        return [
            {key: value for key, value in record.items() if value is not None and value == value}
            for record in to_dict("records")
        ]
    records = list(rows)
    for place, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise DataError(f"rows[{place}]: must be a dictionary, not {type(record).__name__}.")
    return records


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise InspectorError("Tables need pandas: pip install pandas") from error
    return pandas

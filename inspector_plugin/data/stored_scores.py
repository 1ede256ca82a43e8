"""Stored scores: what judges or people said of responses, read from any of our formats.

- Judgement files, as `inspector score` and `inspector label` write them (versions 1 and 2): a row
  for each response, with the field `judgements`.
- Short rows, as people write them: `question`, `response`, `criterion` (or `aspect`), `score`.
- lm_eval sample logs of our tasks.

docs/judgement-format.md describes all three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector_plugin.data.eval_logs import is_sample_log, judged_rows
from inspector_plugin.data.files import read_json, run_file
from inspector_plugin.data.jsonl import read_rows, response_field, text_field
from inspector_plugin.errors import CriteriaError, DataError, one_of, shown
from inspector_plugin.schema.criteria import BINARY, Criterion, Scale
from inspector_plugin.schema.records import Judgement
from inspector_plugin.schema.rubrics import ItemVerdict

RESPONSE_FIELDS = ("response", "prediction")
CRITERION_FIELDS = ("criterion", "aspect")
JUDGEMENTS = "judgements"
# Who scored a short row, where a file has the scores of several people.
ANNOTATOR = "annotator"


@dataclass(frozen=True)
class StoredScore:
    """One score as a file holds it.

    Attributes:
        id: The problem's id; the question's text where the file has none.
        question: The problem.
        response: The response that was scored.
        key: The criterion's key.
        score: The score; None if the file says that there is none.
        reason: Why there is none.
        scale: The scale of the score; None where the file does not say: the criterion's own.
        fingerprint: That of the criterion; None where the file does not say.
        explanation: What was said in support of it.
        items: The verdicts on the items of a rubric, by key of the item, where the file has them.
        where: Where it stands, such as "scores.jsonl, line 3".
    """

    id: str
    question: str
    response: str
    key: str
    score: float | None
    reason: str | None = None
    scale: Scale | None = None
    fingerprint: str | None = None
    explanation: str | None = None
    items: Mapping[str, ItemVerdict] | None = None
    where: str = ""

    def misfit(self, criterion: Criterion) -> str | None:
        """Say why this cannot be a score on a criterion of the same key; None if it can."""
        if self.fingerprint not in (None, criterion.fingerprint):
            return (
                f"the stored score is for another criterion of the key {self.key!r} "
                f"(fingerprint {self.fingerprint}, asked for {criterion.fingerprint})"
            )
        scale = self.scale or criterion.scale
        if scale not in (criterion.scale, BINARY):
            return f"the stored score is on {scale.name}, the criterion on {criterion.scale.name}"
        if self.score is not None and self.score not in scale:
            return f"the stored score {self.score:g} is outside the scale {scale.name}"
        return None


def read_stored_scores(path: str | Path, scored_by: str | None = None) -> Iterator[StoredScore]:
    """Read all scores of a file, one by one; see `read_stored_rows`."""
    for _, scores in read_stored_rows(path, scored_by):
        yield from scores


def read_stored_rows(
    path: str | Path, scored_by: str | None = None
) -> Iterator[tuple[dict[str, Any], list[StoredScore]]]:
    """Read the rows of a file, each with its scores.

    Args:
        path: The file, .jsonl or .jsonl.gz.
        scored_by: Whose scores to take, where the file has those of several judges.

    Yields:
        A row of the judgement format, or a short row, and its scores.

    Raises:
        DataError: If the file is malformed, holds no scores of that judge, or holds those of
            several and none is named.
    """
    scales = ScalesOfVersion1(Path(path))
    judges: set[str] = set()
    found = False
    for number, line in read_rows(path):
        where = f"{path}, line {number}"
        for row in rows_of(line, where):
            if JUDGEMENTS not in row:
                if not _is_chosen_annotator(row, judges, scored_by, where):
                    continue
                found = True
                yield row, [_short_row(row, where)]
                continue
            by_judge = judgements_of(row, where)
            judges |= by_judge.keys()
            chosen = _chosen(by_judge, judges, scored_by, where)
            found = found or bool(chosen)
            yield (
                row,
                [
                    stored
                    for name in chosen
                    for stored in _judgement_row(row, name, by_judge[name], where, scales)
                ],
            )
    if judges and not found:
        raise DataError(f"{path}: {one_of(scored_by or '', judges, 'judge of this file')}")


def rows_of(line: Mapping[str, Any], where: str) -> Iterable[dict[str, Any]]:
    """Take the rows out of a line: it is one itself, unless it is one of a sample log."""
    if is_sample_log(line) and JUDGEMENTS not in line:
        return judged_rows(line, where)
    return [dict(line)]


def _short_row(row: Mapping[str, Any], where: str) -> StoredScore:
    question = text_field(row, ("question",), where)
    identifier = row.get("id")
    fingerprint = row.get("fingerprint")
    return StoredScore(
        id=question if identifier is None else str(identifier),
        question=question,
        response=text_field(row, RESPONSE_FIELDS, where),
        key=text_field(row, CRITERION_FIELDS, where),
        score=_number(row.get("score"), where),
        scale=_scale(row.get("scale"), where),
        fingerprint=None if fingerprint is None else str(fingerprint),
        where=where,
    )


def _judgement_row(
    row: Mapping[str, Any],
    judge: str,
    judgement: Judgement,
    where: str,
    scales: ScalesOfVersion1,
) -> Iterator[StoredScore]:
    question = text_field(row, ("question",), where)
    response, missing = response_field(row, RESPONSE_FIELDS, where)
    if missing is not None and any(each.score is not None for each in judgement.scores.values()):
        raise DataError(f"{where}: there are scores, but {missing}.")
    identifier = row.get("id")
    for key, score in judgement.scores.items():
        scale = score.scale
        if scale is None:
            try:
                scale = scales.scale_of(judge, score.probabilities)
            except CriteriaError as error:
                raise DataError(f"{where}: the probabilities of {key!r}: {error}.") from error
        yield StoredScore(
            id=question if identifier is None else str(identifier),
            question=question,
            response=response,
            key=key,
            score=None if score.score is None else _number(score.score, where),
            reason=score.reason,
            scale=scale,
            fingerprint=score.fingerprint,
            explanation=score.explanation,
            items=score.items,
            where=where,
        )


def judgements_of(row: Mapping[str, Any], where: str) -> dict[str, Judgement]:
    """Read the judgements in a row of a judgement file, by judge.

    Raises:
        DataError: If they are malformed.
    """
    judgements = row[JUDGEMENTS]
    if not isinstance(judgements, Mapping):
        raise DataError(f"{where}: field {JUDGEMENTS!r} is not an object.")
    try:
        return {name: Judgement.from_json(value) for name, value in judgements.items()}
    except (KeyError, TypeError, ValueError, AttributeError, CriteriaError) as error:
        raise DataError(f"{where}: its judgements cannot be read ({shown(error, 200)}).") from error


def _chosen(
    by_judge: Mapping[str, Judgement], judges: set[str], scored_by: str | None, where: str
) -> list[str]:
    if scored_by is not None:
        return [scored_by] if scored_by in by_judge else []
    _require_one(judges, where)
    return list(by_judge)


def _is_chosen_annotator(
    row: Mapping[str, Any], judges: set[str], scored_by: str | None, where: str
) -> bool:
    """Whether a short row is by whoever is asked for; one that names nobody always is."""
    if row.get(ANNOTATOR) is None:
        return True
    annotator = str(row[ANNOTATOR])
    judges.add(annotator)
    if scored_by is None:
        _require_one(judges, where)
    return scored_by in (None, annotator)


def _require_one(judges: set[str], where: str) -> None:
    if len(judges) > 1:
        raise DataError(
            f"{where}: there are scores by {', '.join(sorted(judges))}; say whose to take with "
            "--scored-by NAME (of the judge recorded: scored_by=NAME)."
        )


class ScalesOfVersion1:
    """Files of version 1 name no scale in their rows: OUT.run.json says which labels they have."""

    def __init__(self, path: Path) -> None:
        """Name the file of scores; what stands beside it is read when it is needed."""
        self._run_file = run_file(path)
        self._judges: Mapping[str, Any] | None = None

    def scale_of(self, judge: str, probabilities: Mapping[int, float] | None) -> Scale | None:
        """The scale of a judge's scores; None if nothing says so."""
        if probabilities:
            return Scale(tuple(sorted(probabilities)))
        if self._judges is None:
            self._judges = self._read()
        entry = self._judges.get(judge)
        binary = isinstance(entry, Mapping) and entry.get("labels") == "binary"
        return BINARY if binary else None

    def _read(self) -> Mapping[str, Any]:
        try:
            content = read_json(self._run_file)
        except (OSError, ValueError):
            return {}  # then the scores are taken to be on the criterion's own scale
        judges = content.get("judges") if isinstance(content, Mapping) else None
        return judges if isinstance(judges, Mapping) else {}


def _number(value: Any, where: str) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and abs(value) < 1e9 and math.isfinite(value):
        return float(value)
    raise DataError(f"{where}: the score must be a number, not {value!r:.60}.")


def _scale(value: Any, where: str) -> Scale | None:
    if value is None:
        return None
    try:
        return Scale(tuple(value))
    except (TypeError, CriteriaError) as error:
        raise DataError(f"{where}: field 'scale': {error}.") from error

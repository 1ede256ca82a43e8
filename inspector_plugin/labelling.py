"""Reference scores: a judge's scores in the format that probes are trained on and compared with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inspector_plugin.cache import JudgeCache
from inspector_plugin.continuing import begin_output, writing
from inspector_plugin.errors import OptionError
from inspector_plugin.judge import Judge
from inspector_plugin.judging import judge_all
from inspector_plugin.schema import MULTICLASS, PASSING, Judgement, JudgeRequest, Usage
from inspector_plugin.scored import read_scored
from inspector_plugin.scoring import ScoreRow


@dataclass
class Labels:
    """What a run of labelling came to.

    Attributes:
        scored: Number of scores written by this run, by aspect and label.
        unscored: How often each reason for not scoring occurs.
        passing: Number of scores missing for a reason that a later run may not meet.
        already: Number of scores that an earlier run had written.
        usage: What this run cost, where the judge counts that.
    """

    scored: Counter[tuple[str, int]] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    passing: int = 0
    already: int = 0
    usage: Usage | None = None


def unscored_path(out: Path) -> Path:
    """Where the responses without a score are written, with reason and raw reply."""
    return out.with_name(out.name + ".unscored.jsonl")


def label_rows(
    rows: Sequence[ScoreRow],
    judge: Judge,
    name: str,
    out: Path,
    *,
    overwrite: bool = False,
    cache: JudgeCache | None = None,
    dry_run: bool = False,
) -> Labels:
    """Write a judge's scores, one line for each response and aspect, as soon as they are there.

    Scores that the output holds already are not asked for again. What has no score is written to
    `unscored_path(out)`, and asked for again by the next run.

    Args:
        rows: The responses, and the aspects to score them on.
        judge: The judge; its scale is 1-5.
        name: What to call it.
        out: The JSONL file to write or to continue.
        overwrite: Whether to begin anew where an output is already there.
        cache: Where judgements are kept between runs, if anywhere.
        dry_run: Whether the judge only estimates its cost; nothing is written then.

    Returns:
        What came of it.

    Raises:
        OptionError: If the judge has another scale.
        DataError: If the output cannot be read or written, or holds another judge's scores.
        JudgeError: If the judge cannot go on; what it scored until then is written.
    """
    if judge.scale != MULTICLASS:
        raise OptionError("Reference scores are scores from 1 to 5; leave out labels=binary.")
    making = {"judge": {"name": name, "made_of": dict(judge.describe())}}
    continued = out.exists() if dry_run else begin_output(out, making, overwrite)
    known = _known(out) if continued and not overwrite else set()
    asked = [(row, _missing(row.request, known)) for row in rows]
    labels = Labels(already=sum(len(row.request.aspects) - len(r.aspects) for row, r in asked))
    asked = [(row, request) for row, request in asked if request.aspects]

    def write(start: int, judgements: Sequence[Judgement]) -> None:
        done = zip(asked[start : start + len(judgements)], judgements, strict=True)
        _count_and_write(labels, list(done), out, dry_run)

    if not dry_run:
        with writing(out):
            out.touch()
            unscored_path(out).unlink(missing_ok=True)
    judge_all(judge, [r for _, r in asked], name=name, on_judged=write, cache=cache)
    return labels


_Judged = tuple[tuple[ScoreRow, JudgeRequest], Judgement]


def _count_and_write(labels: Labels, judged: Sequence[_Judged], out: Path, dry_run: bool) -> None:
    scored: list[dict[str, Any]] = []
    unscored: list[dict[str, Any]] = []
    for (row, request), judgement in judged:
        if judgement.usage is not None:
            labels.usage = (labels.usage or Usage()) + judgement.usage
        for aspect, score in judgement.aspects.items():
            line = _line(row.row, request, aspect)
            if score.score is not None and score.label is not None:
                labels.scored[aspect, score.label] += 1
                whole = int(score.score) if score.score.is_integer() else score.score
                scored.append({**line, "score": whole, "justification": score.explanation})
            else:
                labels.unscored[str(score.reason)] += 1
                labels.passing += PASSING in score.flags
                unscored.append({**line, "reason": score.reason, "reply": score.explanation})
    if not dry_run:
        _append(out, scored)
        _append(unscored_path(out), unscored)


def _line(row: Mapping[str, Any], request: JudgeRequest, aspect: str) -> dict[str, Any]:
    line: dict[str, Any] = {"id": row["id"]} if "id" in row else {}
    if request.dataset is not None:
        line["dataset"] = request.dataset
    return {**line, "question": request.question, "response": request.response, "aspect": aspect}


def _append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    if lines:
        with writing(path), path.open("a", encoding="utf-8") as file:
            # ASCII, because a response may hold what UTF-8 cannot (half a surrogate pair).
            file.writelines(json.dumps(line) + "\n" for line in lines)


def _known(out: Path) -> set[tuple[str, str, str]]:
    return {(row.question, row.response, row.aspect) for row in read_scored(out)}


def _missing(request: JudgeRequest, known: set[tuple[str, str, str]]) -> JudgeRequest:
    aspects = tuple(
        key for key in request.aspects if (request.question, request.response, key) not in known
    )
    return replace(request, aspects=aspects)

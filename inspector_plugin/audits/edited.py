"""Judging the rows of a file as they are and edited."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice

from inspector_plugin.audits.edits import Edit, planted_edit
from inspector_plugin.audits.rows import AuditRow, Survey
from inspector_plugin.audits.scores import Scored, Scores
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.progress import Progress
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import Judgement, JudgeRequest

ROWS_AT_ONCE = 32
# Takes a row, the key of the edit (None for the unedited response), the text and its judgement.
OnJudged = Callable[[AuditRow, str | None, str, Judgement], None]


class RepeatCache(JudgeCache):
    """The judge cache for judging the same responses again: a repeat finds its own judgements."""

    def __init__(self, cache: JudgeCache, number: int) -> None:
        """Open the file of another cache.

        Args:
            cache: That cache.
            number: Which repeat it is, from 1.
        """
        super().__init__(cache.path)
        self._number = number

    def keys(self, judge: Judge, requests: Sequence[JudgeRequest]) -> list[str]:
        """Hash what determines judgements, the number of the repeat included."""
        return [
            hashlib.sha256(f"{key}/repeat {self._number}".encode()).hexdigest()
            for key in super().keys(judge, requests)
        ]


def all_edits(edits: Sequence[Edit], found: Survey, planted: bool) -> dict[str, Edit]:
    """The edits of an audit by key: those made here, and the errors planted in the file.

    Args:
        edits: The edits made here.
        found: The rows.
        planted: Whether planted errors are judged.
    """
    in_file = [planted_edit(error) for error in sorted(found.errors)] if planted else []
    return {edit.key: edit for edit in (*edits, *in_file)}


def judge_edits(
    judge: Judge,
    found: Survey,
    criteria: Sequence[Criterion],
    edits: Mapping[str, Edit],
    *,
    name: str = "judge",
    seed: int = 0,
    repeats: int = 1,
    cache: JudgeCache | None = None,
    progress: bool = True,
    on_judged: OnJudged | None = None,
) -> Scores:
    """Judge the rows of a file as they are and edited, a few rows at a time.

    What is judged is in the judge cache at once: a run that was interrupted resumes
    when it is called again.

    Args:
        judge: The judge.
        found: The rows.
        criteria: What to judge on.
        edits: The edits, see `all_edits`.
        name: What progress and messages call the judge.
        seed: Seed of the edits.
        repeats: How often to judge each unedited response.
        cache: The judge cache, if any.
        progress: Whether to show progress.
        on_judged: Called with every judgement but those of repeats.

    Raises:
        JudgeError: If the judge breaks its contract.
        DataError: If the file changes meanwhile, or the cache cannot be used.
    """
    scores = Scores([criterion.key for criterion in criteria], edits, repeats - 1)

    def judged(
        texts: Sequence[tuple[AuditRow, str]], cache: JudgeCache | None
    ) -> Iterator[Judgement]:
        requests = [
            JudgeRequest(row.question, text, tuple(criteria), row.dataset, row.id)
            for row, text in texts
        ]
        return iter(judge_all(judge, requests, name=name, cache=cache, progress=False))

    with ExitStack() as stack:
        caches = [
            None if cache is None else stack.enter_context(RepeatCache(cache, number))
            for number in range(1, repeats)
        ]
        bar = Progress(len(found.numbers), f"Auditing ({name})", "row") if progress else None
        if bar is not None:
            stack.enter_context(bar)
        remaining = found.rows()
        while rows := list(islice(remaining, ROWS_AT_ONCE)):
            made = [{key: _text(edit, row, seed) for key, edit in edits.items()} for row in rows]
            versions = [
                (row, text)
                for row, texts in zip(rows, made, strict=True)
                for text in (row.response, *texts.values())
                if text is not None
            ]
            answers = judged(versions, cache)
            for row, texts in zip(rows, made, strict=True):
                scores.begin_row(row.number, row.question, row.id)
                targets: list[tuple[str | None, str | None, Scored]]
                targets = [(None, row.response, scores.original)]
                targets += [(key, text, scores.edited[key]) for key, text in texts.items()]
                for key, text, target in targets:
                    answer = None if text is None else next(answers)
                    scores.add(target, answer)
                    if on_judged is not None and text is not None and answer is not None:
                        on_judged(row, key, text, answer)
            originals = [(row, row.response) for row in rows]
            for target, its_cache in zip(scores.repeats, caches, strict=True):
                for answer in judged(originals, its_cache):
                    scores.add(target, answer)
            if bar is not None:
                bar.advance(len(rows), "" if scores.usage is None else scores.usage.cost)
    return scores


def _text(edit: Edit, row: AuditRow, seed: int) -> str | None:
    """The edited response; None where the edit cannot be made of it, or is not the file's."""
    if not edit.is_planted:
        return edit.apply(row.question, row.response, seed)
    is_its = row.planted is not None and planted_edit(row.error).key == edit.key
    return row.planted if is_its and row.planted != row.response else None

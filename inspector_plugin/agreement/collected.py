"""Pairs of scores collected row by row, for an agreement over more rows than judgements fit."""

from __future__ import annotations

from itertools import chain

import numpy as np

from inspector_plugin.agreement.compare import OVERALL, Agreement, agreement
from inspector_plugin.data.problems import joined_problems, problem_key
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest
from inspector_plugin.schema.roscoe import in_table_order


class Problems:
    """Names the problem of each of many requests, keeping a few bytes of each; see
    `data.problems.problem_names`."""

    def __init__(self) -> None:
        """Begin with no request."""
        self._ids: list[str] = []
        self._keys: list[str] = []
        self._last = ("", "")

    def add(self, request: JudgeRequest) -> None:
        """Take the next request in."""
        if request.question != self._last[0]:
            self._last = (request.question, problem_key(request.question))
        key = self._last[1]
        self._ids.append(f"question {key}" if request.id is None else request.id)
        self._keys.append(key)

    def codes(self) -> list[int]:
        """The number of each request's problem, from 0, in the order of the requests."""
        codes: list[int] = joined_problems(self._ids, self._keys)[1].tolist()
        return codes


class PairedScores:
    """The scores of a judge beside those of a reference, row by row."""

    def __init__(self) -> None:
        """Begin with no pair."""
        self._pairs: dict[str, list[tuple[CriterionScore, CriterionScore]]] = {}
        self._rows: dict[str, list[int]] = {}
        self._known: dict[object, CriterionScore] = {}
        self._count = 0

    def add(self, judged: Judgement, reference: Judgement) -> None:
        """Take the scores of the next row in."""
        for key, score in judged.scores.items():
            other = reference.scores.get(key)
            if other is None or score.score is None or other.score is None:
                continue
            self._pairs.setdefault(key, []).append((self._slim(score), self._slim(other)))
            self._rows.setdefault(key, []).append(self._count)
        for key in judged.scores.keys() & reference.scores.keys():
            self._pairs.setdefault(key, [])
            self._rows.setdefault(key, [])
        self._count += 1

    def agreement(
        self, problems: list[int], *, seed: int = 0, resamples: int = 1000
    ) -> dict[str, Agreement]:
        """Compare the scores, as `compare.agreement_by_criterion` does.

        Args:
            problems: The number of each row's problem.
            seed: Seed of the bootstrap.
            resamples: Number of resamples.

        Returns:
            The agreement on each criterion by key, and last on "overall".
        """
        keys = in_table_order(self._pairs)
        clusters = np.array(problems, dtype=np.intp)
        groups = {
            key: (self._pairs[key], clusters[self._rows[key]].tolist() if self._rows[key] else [])
            for key in keys
        }
        groups[OVERALL] = (
            list(chain.from_iterable(pairs for pairs, _ in groups.values())),
            list(chain.from_iterable(rows for _, rows in groups.values())),
        )
        return {
            key: agreement(
                [ours for ours, _ in pairs],
                [theirs for _, theirs in pairs],
                rows,
                seed=seed,
                resamples=resamples,
            )
            for key, (pairs, rows) in groups.items()
        }

    def _slim(self, score: CriterionScore) -> CriterionScore:
        """What of a score is compared; equal ones are one object."""
        mark = (score.score, score.label, score.scale, score.fingerprint)
        known = self._known.get(mark)
        if known is None:
            known = CriterionScore(
                score.score, score.label, scale=score.scale, fingerprint=score.fingerprint
            )
            self._known[mark] = known
        return known

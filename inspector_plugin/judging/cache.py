"""The judge cache: every judgement that is finished, on disk before it is counted.

One SQLite file serves all judges and any number of processes. A judgement is found again by
everything that determines it: the judge's description (model, prompts, sampling, ...), the problem,
the response, the fingerprints of the criteria and the data set.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector_plugin.errors import CriteriaError, DataError
from inspector_plugin.folders import cache_folder
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.store import Store
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest, reused

FORMAT = 2
# What reading a judgement that is damaged raises.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    OverflowError,
    CriteriaError,
)


@dataclass(frozen=True)
class CacheInfo:
    """What the judge cache holds.

    Attributes:
        path: The file.
        bytes: Its size.
        judgements: Number of judgements by kind of judge.
    """

    path: Path
    bytes: int
    judgements: dict[str, int]


def cache_path() -> Path:
    """Where the judge cache is: in INSPECTOR_CACHE_DIR, or else in the user's cache."""
    return cache_folder() / "judgements.sqlite"


class JudgeCache(Store):
    """Finished judgements on disk."""

    name = "the judge cache"
    without = "judge with --no-cache"
    table = "judgements"
    columns = "judge TEXT NOT NULL, created REAL NOT NULL, judgement TEXT NOT NULL"

    def __init__(self, path: Path | None = None) -> None:
        """Open the cache, making it if there is none.

        Args:
            path: The file; `cache_path()` if None.

        Raises:
            DataError: If the file cannot be opened, or is of another format.
        """
        super().__init__(path or cache_path())

    def _prepare(self) -> None:
        super()._prepare()
        found = self._database.execute("PRAGMA user_version").fetchone()[0]
        if found == FORMAT:
            return
        if found not in (0, 1):
            raise DataError(
                f"The judge cache {self.path} has format {found}, this version reads {FORMAT}; "
                "upgrade inspector_plugin, or set INSPECTOR_CACHE_DIR to another folder."
            )
        if found == 1:  # its keys and judgements are of another form
            with self._database:  # committed at once: an open transaction locks others out
                self._database.execute("DELETE FROM judgements")
        self._database.execute(f"PRAGMA user_version={FORMAT}")

    def get(self, keys: Sequence[str]) -> dict[str, Judgement]:
        """Look judgements up.

        Returns:
            Those found, by key, each with the usage of a judgement that is reused. One that is
            damaged counts as not found.
        """
        found: dict[str, Judgement] = {}
        for key, text in self._rows("key, judgement", keys):
            with suppress(*_DAMAGE):
                found[key] = reused(Judgement.from_json(json.loads(text)))
        return found

    def keys(self, judge: Judge, requests: Sequence[JudgeRequest]) -> list[str]:
        """Hash everything that determines the judgements of requests.

        Returns:
            One key for each request, 64 hexadecimal digits.
        """
        scale = None if judge.scale is None else judge.scale.labels
        identity = [FORMAT, _kind(judge), judge.scoring_version, scale, dict(judge.describe())]
        start = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        keys = []
        for request in requests:
            digest = start.copy()
            # What a problem is called changes no score.
            asked: list[Any] = [
                request.question,
                request.response,
                request.dataset,
                [criterion.fingerprint for criterion in request.criteria],
            ]
            if any(criterion.is_rubric for criterion in request.criteria):
                asked.append(judge.rubric_form)
            if request.correct is not None:
                asked.append({"correct": request.correct})
            if any(criterion.of_question for criterion in request.criteria):
                asked.append(judge.question_form)
            digest.update(json.dumps(asked).encode())
            keys.append(digest.hexdigest())
        return keys

    def put(self, judge: Judge, judgements: Sequence[tuple[str, Judgement]]) -> None:
        """Keep scores, and reasons for which asking again would give none.

        Not kept is what is missing for a transient reason, or because a reply could not be read:
        that reply is the explanation, and a repaired server may do better. What is kept is on disk
        when this returns, and outlives the end of the process, however it comes.

        Args:
            judge: The judge.
            judgements: Each judgement with its key.
        """
        now = time.time()
        rows = [
            (key, _kind(judge), now, json.dumps(judgement.to_json()))
            for key, judgement in judgements
            if not any(map(_may_be_had_later, judgement.scores.values()))
        ]
        self._put(rows)

    def info(self) -> CacheInfo:
        """Count what there is."""
        with self._explained():
            rows = self._database.execute("SELECT judge, COUNT(*) FROM judgements GROUP BY judge")
            judgements = dict(rows.fetchall())
        files = self.path.parent.glob(self.path.name + "*")
        return CacheInfo(self.path, sum(file.stat().st_size for file in files), judgements)

    def clear(self, judge: str | None = None) -> int:
        """Forget the judgements of one kind of judge, or all.

        Returns:
            How many there were.
        """
        return self._delete() if judge is None else self._delete("judge = ?", (judge,))

    def __enter__(self) -> JudgeCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def opened_cache(enabled: bool = True) -> Iterator[JudgeCache | None]:
    """Open the judge cache for a command; None if it is switched off.

    Raises:
        DataError: If it cannot be opened.
    """
    if not enabled:
        yield None
        return
    with JudgeCache() as cache:
        yield cache


def _may_be_had_later(score: CriterionScore) -> bool:
    is_unreadable = score.score is None and score.explanation is not None
    of_members = map(_may_be_had_later, (score.members or {}).values())
    return score.transient or is_unreadable or any(of_members)


def _kind(judge: Judge) -> str:
    return f"{type(judge).__module__}.{type(judge).__qualname__}"

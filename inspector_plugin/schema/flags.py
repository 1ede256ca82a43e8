"""Leaving flagged scores out: a score that carries a remark becomes one that is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from inspector_plugin.schema.records import CriterionScore, Judgement


@dataclass(frozen=True)
class DroppedFlags:
    """Which flags leave a score out.

    Attributes:
        names: The flags; none for any flag at all.
    """

    names: frozenset[str] = frozenset()

    @staticmethod
    def parse(text: str) -> DroppedFlags:
        """Read flags separated by commas; none for any flag at all."""
        return DroppedFlags(frozenset(name.strip() for name in text.split(",") if name.strip()))

    def among(self, flags: Iterable[str]) -> tuple[str, ...]:
        """Those of some flags that leave a score out."""
        return tuple(flag for flag in flags if not self.names or flag in self.names)

    def without(self, judgement: Judgement) -> Judgement:
        """Return a judgement whose flagged scores are missing, with that reason."""
        if not any(score.flags for score in judgement.scores.values()):
            return judgement
        scores = {key: self._without(score) for key, score in judgement.scores.items()}
        return Judgement(scores, judgement.usage)

    def _without(self, score: CriterionScore) -> CriterionScore:
        found = self.among(score.flags)
        if score.score is None or not found:
            return score
        reason = f"left out because of the flag {', '.join(found)}"
        return replace(score, score=None, label=None, probabilities=None, reason=reason)

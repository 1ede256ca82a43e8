"""What travels through the pipeline: requests to a judge, and its judgements.

Everything here is a frozen dataclass of plain values. Importing this module loads neither torch
nor transformers. `to_json` and `from_json` are the one judgement format: version 2, described in
docs/judgement-format.md; version 1 is still read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from inspector_plugin.schema.correctness import counts_in_total
from inspector_plugin.schema.criteria import (
    BINARY,
    MULTICLASS,
    RUBRIC,
    Criterion,
    Scale,
    common_scale,
    require_unique,
)
from inspector_plugin.schema.criteria_files import built_in_criterion
from inspector_plugin.schema.old_names import also_takes
from inspector_plugin.schema.roscoe import ROSCOE
from inspector_plugin.schema.rubrics import ItemVerdict
from inspector_plugin.schema.stored_values import (
    number_in,
    object_in,
    require_probabilities,
    text_in,
    texts_in,
)
from inspector_plugin.schema.usage import Usage

FORMAT_VERSION = 2
# How version 1 said that asking again later may help.
_TRANSIENT_FLAG = "passing"


@also_takes(aspects="criteria")
@dataclass(frozen=True)
class JudgeRequest:
    """One response to be judged.

    Attributes:
        question: The problem itself, without few-shot examples or instructions.
        response: The whole response under judgement. It is untrusted text.
        criteria: What to judge it on, each key once. The key of a built-in criterion may stand for
            that criterion.
        dataset: The data set the problem comes from, such as "gsm8k", if known.
        id: The caller's name for the problem; responses to one problem share it.
        correct: Whether the response's final answer is right, where a caller knows and wants judges
            to know it too; None otherwise.

    Raises:
        CriteriaError: If two criteria share a key, or a key is not built in.
    """

    question: str
    response: str
    criteria: tuple[Criterion, ...] = ROSCOE
    dataset: str | None = None
    id: str | None = None
    correct: bool | None = None

    def __post_init__(self) -> None:
        if self.criteria is ROSCOE:
            return
        criteria = tuple(
            built_in_criterion(each) if isinstance(each, str) else each for each in self.criteria
        )
        require_unique(criteria)
        object.__setattr__(self, "criteria", criteria)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the criteria."""
        return tuple(criterion.key for criterion in self.criteria)

    @property
    def aspects(self) -> tuple[str, ...]:
        """The keys of the criteria, under the name that plugins for version 0.1 use."""
        return self.keys

    @property
    def rubric(self) -> str | None:
        """The text of the criterion `rubric`, under the name that plugins for version 0.1 use."""
        return next((c.definition for c in self.criteria if c.key == RUBRIC), None)


@dataclass(frozen=True)
class CriterionScore:
    """What a judge says of one response on one criterion: a score, or why there is none.

    Attributes:
        score: Score on the scale; the expected value where the judge has probabilities. None if
            the response could not be judged.
        label: The label chosen, None if the response could not be judged.
        probabilities: Probability of each label, summing to 1, where the judge has them.
        reason: Why there is no score; None where there is one.
        explanation: What the judge wrote in support of its score, where it writes.
        flags: Remarks on a score, such as "truncated".
        layer_logits: Logits of the scale's labels by hidden state, where they are kept.
        transient: Whether asking again later may give a score.
        scale: The scale of score, label and probabilities. A judge leaves it None unless it
            differs from that of the criterion; `judge_all` fills it in.
        fingerprint: That of the criterion; `judge_all` fills it in.
        items: The verdicts on the items of a rubric, by key of the item.
        members: What the members of a panel or cascade said, by their names.

    Raises:
        ValueError: If there is neither a score nor a reason, both, or a score that is not finite.
    """

    score: float | None
    label: int | None = None
    probabilities: Mapping[int, float] | None = None
    reason: str | None = None
    explanation: str | None = None
    flags: tuple[str, ...] = ()
    layer_logits: tuple[tuple[float, ...], ...] | None = None
    transient: bool = False
    scale: Scale | None = None
    fingerprint: str | None = None
    items: Mapping[str, ItemVerdict] | None = None
    members: Mapping[str, CriterionScore] | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (not self.reason):
            raise ValueError("a CriterionScore has either a score or a reason why there is none")
        # Comparing takes integers of any size; not-a-number compares with nothing.
        if self.score is not None and not -math.inf < self.score < math.inf:
            raise ValueError(f"a score is a finite number, not {self.score!r}; use unscored()")
        if _TRANSIENT_FLAG in self.flags:
            kept = tuple(flag for flag in self.flags if flag != _TRANSIENT_FLAG)
            object.__setattr__(self, "flags", kept)
            object.__setattr__(self, "transient", True)

    @property
    def spread(self) -> float | None:
        """How far the members' scores lie apart: the highest less the lowest.

        None with fewer than two scores, or on different scales.
        """
        scored = [each for each in (self.members or {}).values() if each.score is not None]
        if len(scored) < 2 or len({each.scale for each in scored}) > 1:
            return None
        scores = [each.score for each in scored if each.score is not None]
        return round(max(scores) - min(scores), 4)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; what there is not is left out, but for the score."""
        row: dict[str, Any] = {"score": self.score, "label": self.label}
        if self.reason is not None:
            row["reason"] = self.reason
        if self.scale is not None:
            row["scale"] = list(self.scale.labels)
        if self.fingerprint is not None:
            row["fingerprint"] = self.fingerprint
        if self.probabilities is not None:
            row["probabilities"] = {str(label): p for label, p in self.probabilities.items()}
        if self.explanation is not None:
            row["explanation"] = self.explanation
        if self.flags:
            row["flags"] = list(self.flags)
        if self.transient:
            row["transient"] = True
        if self.layer_logits is not None:
            row["layer_logits"] = [list(logits) for logits in self.layer_logits]
        if self.items is not None:
            row["items"] = {key: verdict.to_json() for key, verdict in self.items.items()}
        if self.members is not None:
            spread = self.spread
            if spread is not None:
                row["spread"] = spread
            row["members"] = {name: score.to_json() for name, score in self.members.items()}
        return row

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> CriterionScore:
        """Make the score that `to_json` wrote, of this version or of version 1.

        Raises:
            KeyError, TypeError, ValueError: If it is malformed.
        """
        row = object_in(row, "a score")
        layer_logits, scale = row.get("layer_logits"), row.get("scale")
        probabilities, items, members = (
            None if row.get(name) is None else object_in(row[name], name)
            for name in ("probabilities", "items", "members")
        )
        return CriterionScore(
            score=None if row["score"] is None else number_in(row["score"]),
            label=row["label"],
            probabilities=None if probabilities is None else _probabilities(probabilities),
            reason=text_in(row.get("reason")),
            explanation=text_in(row.get("explanation")),
            flags=texts_in(row.get("flags", ())),
            layer_logits=None
            if layer_logits is None
            else tuple(tuple(logits) for logits in layer_logits),
            transient=row.get("transient", False),
            scale=None if scale is None else _known_scale(*scale),
            fingerprint=text_in(row.get("fingerprint")),
            items=None
            if items is None
            else {key: ItemVerdict.from_json(verdict) for key, verdict in items.items()},
            members=None
            if members is None
            else {name: CriterionScore.from_json(score) for name, score in members.items()},
        )

    def as_binary(self, scale: Scale) -> CriterionScore:
        """Derive low or high quality, 0 or 1, from a score.

        Where there are probabilities, the score is that of high quality; else it is the label.

        Args:
            scale: The scale of the score.
        """
        if self.score is None or scale == BINARY:
            return replace(self, scale=BINARY)
        if self.probabilities is None:
            high = int(scale.is_high(self.score))
            return replace(self, score=float(high), label=high, scale=BINARY)
        share = math.fsum(p for label, p in self.probabilities.items() if scale.is_high(label))
        share = min(max(share, 0.0), 1.0)
        return replace(
            self,
            score=share,
            label=int(BINARY.is_high(share)),
            probabilities={0: 1 - share, 1: share},
            scale=BINARY,
        )


# The name that plugins for version 0.1 use.
AspectScore = CriterionScore


def _probabilities(stored: Mapping[str, Any]) -> dict[int, float]:
    found = {int(label): number_in(p) for label, p in stored.items()}
    if found:
        require_probabilities(found.values())
    return found


@lru_cache(maxsize=256, typed=True)
def _known_scale(*labels: Any) -> Scale:
    return Scale(labels)


def unscored(
    reason: str,
    explanation: str | None = None,
    flags: tuple[str, ...] = (),
    *,
    transient: bool = False,
) -> CriterionScore:
    """Say that a response could not be judged on a criterion, and why."""
    return CriterionScore(
        score=None, reason=reason, explanation=explanation, flags=flags, transient=transient
    )


def expected_score(probabilities: Sequence[float], scale: Scale) -> CriterionScore:
    """Make a score of probabilities: their likeliest label, and the expected value as the score.

    Args:
        probabilities: One for each label of the scale, in its order; they sum to 1.
        scale: The scale.
    """
    pairs = list(zip(scale.labels, map(float, probabilities), strict=True))
    expected = math.fsum(label * p for label, p in pairs)
    return CriterionScore(
        # Rounding must not carry the score over the end of the scale.
        score=min(max(expected, float(scale.minimum)), float(scale.maximum)),
        label=max(pairs, key=lambda pair: pair[1])[0],
        probabilities=dict(pairs),
    )


@also_takes(aspects="scores")
@dataclass(frozen=True)
class Judgement:
    """What a judge says of one response.

    Attributes:
        scores: One for each criterion of the request by its key, in the request's order.
        usage: What it cost, where the judge counts that.
    """

    scores: Mapping[str, CriterionScore] = field(default_factory=dict)
    usage: Usage | None = None

    @property
    def aspects(self) -> Mapping[str, CriterionScore]:
        """The scores, under the name that plugins for version 0.1 use."""
        return self.scores

    @property
    def total(self) -> float | None:
        """The sum of the scores; whether a solution is right is not part of it.

        Returns:
            None if there are none, if any criterion has no score, or if the scales differ: a sum
            of 1-5 and 0-1 means nothing.
        """
        counted = [s for key, s in self.scores.items() if counts_in_total(key, s.fingerprint)]
        scores = [score.score for score in counted if score.score is not None]
        if not scores or len(scores) < len(counted):
            return None
        if common_scale(score.scale or MULTICLASS for score in counted) is None:
            return None
        return round(math.fsum(scores), 4)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        row: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "scores": {key: score.to_json() for key, score in self.scores.items()},
        }
        return row if self.usage is None else {**row, "usage": self.usage.to_json()}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Judgement:
        """Make the judgement that `to_json` wrote, of this version or of version 1.

        Version 1 held the scores by aspect and nothing else.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: If it is malformed.
        """
        row = object_in(row, "a judgement")
        if "format_version" not in row:
            return Judgement({key: CriterionScore.from_json(value) for key, value in row.items()})
        version = row["format_version"]
        if type(version) is not int or not 1 < version <= FORMAT_VERSION:
            raise ValueError(
                f"format_version {version!r:.40} is not one that this version reads (up to "
                f"{FORMAT_VERSION})"
            )
        usage, scores = row.get("usage"), object_in(row["scores"], "scores")
        return Judgement(
            {key: CriterionScore.from_json(value) for key, value in scores.items()},
            None if usage is None else Usage.from_json(usage),
        )


def reused(judgement: Judgement) -> Judgement:
    """Return a judgement as it is where it has been judged before: at no cost."""
    usage = None if judgement.usage is None else Usage(reused=1)
    return Judgement(judgement.scores, usage)


def total_usage(judgements: Iterable[Judgement]) -> Usage | None:
    """Sum up what judgements cost; None if no judge counted."""
    counted = [judgement.usage for judgement in judgements if judgement.usage is not None]
    return sum(counted, Usage()) if counted else None


def unjudged(
    request: JudgeRequest, reason: str, *, transient: bool = False, scale: Scale | None = None
) -> Judgement:
    """Say that a request could not be judged on any criterion, and why.

    Args:
        request: The request.
        reason: The reason.
        transient: Whether asking again later may help.
        scale: The scale of the judge, if that is not each criterion's own.
    """
    return Judgement(
        {
            criterion.key: replace(
                unscored(reason, transient=transient),
                scale=scale or criterion.scale,
                fingerprint=criterion.fingerprint,
            )
            for criterion in request.criteria
        }
    )

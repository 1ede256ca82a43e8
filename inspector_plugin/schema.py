"""What travels between the rooms: requests to a judge, and its judgements.

Everything here is a frozen dataclass of plain values. Importing this module loads neither torch
nor transformers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from inspector_plugin.aspects import ASPECT_KEYS

DATASETS = ("gsm8k", "math", "gpqa")


@dataclass(frozen=True)
class JudgeRequest:
    """One response to be judged.

    Attributes:
        question: The problem itself, without few-shot examples or instructions.
        response: The whole response under judgement. It is untrusted text.
        aspects: The aspects to judge, by key.
        dataset: The data set the problem comes from (one of `DATASETS`), if known.
        id: The caller's name for the problem; responses to one problem share it.
        rubric: Criteria of the caller's own, with a description of each score. `aspects` is then
            ("rubric",).
    """

    question: str
    response: str
    aspects: tuple[str, ...] = ASPECT_KEYS
    dataset: str | None = None
    id: str | None = None
    rubric: str | None = None


@dataclass(frozen=True)
class Scale:
    """The scores that a judge gives.

    Attributes:
        labels: The labels in ascending order: (1, 2, 3, 4, 5) for multiclass, (0, 1) for
            binary, where 1 ("high") means a score above 3.
    """

    labels: tuple[int, ...]

    @property
    def minimum(self) -> int:
        """The lowest label."""
        return self.labels[0]

    @property
    def maximum(self) -> int:
        """The highest label."""
        return self.labels[-1]

    @property
    def middle(self) -> float:
        """The middle of the scale; quality is high above it (above 3 on 1-5)."""
        return (self.minimum + self.maximum) / 2

    def nearest(self, score: float) -> int:
        """Return the label nearest to a score, the higher one if two are equally near."""
        return min(self.labels, key=lambda label: (abs(label - score), -label))

    @property
    def name(self) -> str:
        """ "binary" for the labels 0 and 1, "multiclass" for any other."""
        return "binary" if self.labels == (0, 1) else "multiclass"


MULTICLASS = Scale((1, 2, 3, 4, 5))
BINARY = Scale((0, 1))
PASSING = "passing"
SCALES: Mapping[str, Scale] = {"multiclass": MULTICLASS, "binary": BINARY}


@dataclass(frozen=True)
class AspectScore:
    """What a judge says of one aspect of one response: a score, or the reason why there is none.

    Attributes:
        score: Score within the judge's scale; the expected value where the judge has
            probabilities. None if the aspect could not be judged.
        label: The label chosen, None if the aspect could not be judged.
        probabilities: Probability of each label, summing to 1, where the judge has them.
        reason: Why there is no score; None where there is one.
        explanation: What the judge wrote in support of its score, where it writes.
        flags: Remarks, such as "truncated" on a score, or "passing" on a reason that asking again
            later may remove.
        layer_logits: Logits of the scale's labels by hidden state, where they are kept.

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

    def __post_init__(self) -> None:
        if (self.score is None) == (not self.reason):
            raise ValueError("an AspectScore has either a score or a reason why there is none")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"a score is a finite number, not {self.score!r}; use unscored()")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; explanation, flags and logits only where there are any."""
        probabilities = self.probabilities
        row: dict[str, Any] = {
            "score": self.score,
            "label": self.label,
            "probabilities": None
            if probabilities is None
            else {str(label): p for label, p in probabilities.items()},
            "reason": self.reason,
        }
        if self.explanation is not None:
            row["explanation"] = self.explanation
        if self.flags:
            row["flags"] = list(self.flags)
        if self.layer_logits is not None:
            row["layer_logits"] = [list(logits) for logits in self.layer_logits]
        return row

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> AspectScore:
        """Make the score that `to_json` wrote."""
        probabilities = row.get("probabilities")
        layer_logits = row.get("layer_logits")
        return AspectScore(
            score=row["score"],
            label=row["label"],
            probabilities=None
            if probabilities is None
            else {int(label): p for label, p in probabilities.items()},
            reason=row["reason"],
            explanation=row.get("explanation"),
            flags=tuple(row.get("flags", ())),
            layer_logits=None
            if layer_logits is None
            else tuple(tuple(logits) for logits in layer_logits),
        )


def unscored(
    reason: str, explanation: str | None = None, flags: tuple[str, ...] = ()
) -> AspectScore:
    """Say that an aspect could not be judged, and why."""
    return AspectScore(score=None, reason=reason, explanation=explanation, flags=flags)


@dataclass(frozen=True)
class Usage:
    """What judging cost in this run.

    Attributes:
        calls: Calls of a language model that were answered.
        prompt_tokens: Tokens that it read, those of `cached_prompt_tokens` included.
        cached_prompt_tokens: Those of them that the provider had in its prefix cache.
        completion_tokens: Tokens that it wrote.
        seconds: Time that the calls took, summed up even where they ran side by side.
        money: US dollars; None where a price or a token count is not known.
        reused: Judgements taken from the judge cache, at no cost.
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    money: float | None = 0.0
    reused: int = 0

    def __add__(self, other: Usage) -> Usage:
        known = self.money is not None and other.money is not None
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_prompt_tokens=self.cached_prompt_tokens + other.cached_prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            seconds=self.seconds + other.seconds,
            money=(self.money or 0.0) + (other.money or 0.0) if known else None,
            reused=self.reused + other.reused,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @property
    def cost(self) -> str:
        """The money as people read it."""
        return "unknown cost" if self.money is None else f"${self.money:.4f}"

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {self.prompt_tokens} prompt tokens "
            f"({self.cached_prompt_tokens} cached by the provider), {self.completion_tokens} "
            f"completion tokens, {self.cost}; {self.reused} judgements reused"
        )


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one response.

    Attributes:
        aspects: One score for each aspect that the request asked for, in the request's order.
        usage: What it cost, where the judge counts that.
    """

    aspects: Mapping[str, AspectScore] = field(default_factory=dict)
    usage: Usage | None = None

    @property
    def total(self) -> float | None:
        """The sum of the scores; None if there are none, or if any aspect has no score."""
        scores = [aspect.score for aspect in self.aspects.values()]
        if not scores or any(score is None for score in scores):
            return None
        return math.fsum(score for score in scores if score is not None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, an object for each aspect."""
        return {key: score.to_json() for key, score in self.aspects.items()}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Judgement:
        """Make the judgement that `to_json` wrote."""
        return Judgement({key: AspectScore.from_json(value) for key, value in row.items()})


def reused(judgement: Judgement) -> Judgement:
    """Return a judgement as it is where it has been judged before: at no cost."""
    usage = None if judgement.usage is None else Usage(reused=1)
    return Judgement(judgement.aspects, usage)


def total_usage(judgements: Iterable[Judgement]) -> Usage | None:
    """Sum up what judgements cost; None if no judge counted."""
    counted = [judgement.usage for judgement in judgements if judgement.usage is not None]
    return sum(counted, Usage()) if counted else None


def unjudged(request: JudgeRequest, reason: str) -> Judgement:
    """Say that no aspect of a request could be judged, and why."""
    return Judgement({key: unscored(reason) for key in request.aspects})

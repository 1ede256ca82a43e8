"""Checking what a judge returns, and completing it: the one validator of judgements.

Judgements of built-in judges, of plugins, of the judge cache and of outputs all pass through
`completed`. It takes numbers of NumPy for numbers and makes plain ones of them.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from typing import Any

from inspector_plugin.errors import JudgeError, shown
from inspector_plugin.judging.judge import Judge
from inspector_plugin.schema.criteria import BINARY, Criterion, Scale
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest
from inspector_plugin.schema.rubrics import ItemVerdict
from inspector_plugin.schema.stored_values import SUM_TOLERANCE
from inspector_plugin.schema.usage import Usage

_DIGITS = 4
# Larger counts are no counts of this world.
_MOST = 10**15
BUG = "this is a bug in the judge"


def completed(judge: Judge, request: JudgeRequest, answer: Judgement, name: str) -> Judgement:
    """Check a judgement, and write scale and fingerprint into its scores.

    Scores and probabilities are rounded to four digits here, so that tables, files and caches
    agree to the last digit.

    Args:
        judge: Whose judgement it is.
        request: What was asked.
        answer: The judgement as the judge returned it.
        name: What messages call the judge.

    Raises:
        JudgeError: If it is not what `Judge.judge` promises; the message names judge and field.
    """
    if not isinstance(answer, Judgement):
        raise JudgeError(
            f"Judge {name!r} returned a {type(answer).__name__} in place of a Judgement; {BUG}."
        )
    if not isinstance(answer.scores, Mapping) or set(answer.scores) != set(request.keys):
        given = answer.scores if isinstance(answer.scores, Mapping) else ()
        raise JudgeError(
            f"Judge {name!r} was asked for {sorted(request.keys)} and judged "
            f"{sorted(map(str, given))}; {BUG}."
        )
    try:
        scores = {
            criterion.key: _Checked(judge, criterion, name).score(answer.scores[criterion.key])
            for criterion in request.criteria
        }
        return Judgement(scores, _usage(answer.usage, name))
    except JudgeError:
        raise
    # Values of a plugin's own types may fail at being compared, or shown.
    except Exception as error:
        raise JudgeError(
            f"Judge {name!r} returned a judgement that cannot be checked "
            f"({type(error).__name__}: {shown(error)}); {BUG}."
        ) from error


def description_of(judge: Judge, name: str = "judge") -> dict[str, Any]:
    """Return what a judge says that it is made of, as plain values.

    Raises:
        JudgeError: If that is not something that JSON can hold.
    """
    described = judge.describe()
    try:
        if not isinstance(described, Mapping):
            raise TypeError(f"a {type(described).__name__} in place of a mapping")
        plain: dict[str, Any] = json.loads(json.dumps(dict(described), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise JudgeError(
            f"Judge {name!r}: describe() returned what JSON cannot hold ({error}); {BUG}."
        ) from error
    return plain


class _Checked:
    """Checks the scores of one judge on one criterion."""

    def __init__(self, judge: Judge, criterion: Criterion, name: str) -> None:
        self._judge, self._criterion, self._name = judge, criterion, name

    def score(self, given: Any) -> CriterionScore:
        if not isinstance(given, CriterionScore):
            raise self._fault("", f"a {type(given).__name__}, not a CriterionScore")
        scale = self._scale(given)
        scored = given.score is not None
        if scored and given.reason is not None:
            raise self._fault("reason", f"{given.reason!r:.80} beside a score")
        if not scored and not (isinstance(given.reason, str) and given.reason.strip()):
            raise self._fault("reason", f"{given.reason!r:.80}, not a text")
        return CriterionScore(
            score=round(self._on_scale(given.score, scale), _DIGITS) if scored else None,
            label=self._label(given.label, scale, scored),
            probabilities=self._probabilities(given.probabilities, scale, scored),
            reason=given.reason,
            explanation=None
            if given.explanation is None
            else self._text(given.explanation, "explanation"),
            flags=self._flags(given.flags),
            layer_logits=None
            if given.layer_logits is None
            else self._layer_logits(given.layer_logits),
            transient=bool(given.transient),
            scale=scale,
            fingerprint=self._criterion.fingerprint,
            items=None if given.items is None else self._items(given.items),
            members=None if given.members is None else self._members(given.members),
        )

    def _members(self, given: Any) -> dict[str, CriterionScore]:
        if not isinstance(given, Mapping):
            raise self._fault("members", f"a {type(given).__name__}, not scores by name")
        return {str(self._text(name, "members")): self.score(given[name]) for name in given}

    def _scale(self, given: CriterionScore) -> Scale:
        scale = given.scale or self._judge.scale or self._criterion.scale
        if scale is not self._criterion.scale and scale not in (self._criterion.scale, BINARY):
            shown = scale.name if isinstance(scale, Scale) else repr(scale)
            raise self._fault(
                "scale", f"{shown}, and its criterion is on {self._criterion.scale.name}"
            )
        return scale

    def _on_scale(self, value: Any, scale: Scale) -> float:
        number = self._number(value, "score")
        if not scale.minimum <= number <= scale.maximum:
            raise self._fault("score", f"{number}, outside its scale {scale.name}")
        return number

    def _label(self, value: Any, scale: Scale, scored: bool) -> int | None:
        if not scored:
            if value is not None:
                raise self._fault("label", f"{value!r:.80} and no score")
            return None
        whole = type(value) is int or (
            isinstance(value, numbers.Integral) and not isinstance(value, bool)
        )
        if not whole or int(value) not in scale.labels:
            raise self._fault("label", f"{value!r:.80}, not one of {scale.labels}")
        return int(value)

    def _probabilities(self, given: Any, scale: Scale, scored: bool) -> dict[int, float] | None:
        if given is None:
            return None
        if not scored:
            raise self._fault("probabilities", "and no score")
        labels = scale.labels
        is_as_usual = type(given) is dict and tuple(given) == labels
        if not is_as_usual and (not isinstance(given, Mapping) or sorted(given) != list(labels)):
            raise self._fault("probabilities", f"not one for each label of {labels}")
        values = [self._number(given[label], "probabilities") for label in labels]
        total = math.fsum(values)
        if min(values) < 0 or abs(total - 1) > SUM_TOLERANCE:
            raise self._fault("probabilities", f"below 0, or not summing to 1 ({total:.4f})")
        return {label: round(value, _DIGITS) for label, value in zip(labels, values, strict=True)}

    def _layer_logits(self, given: Any) -> tuple[tuple[float, ...], ...]:
        try:
            return tuple(
                tuple(self._number(value, "layer_logits") for value in state) for state in given
            )
        except TypeError as error:
            raise self._fault("layer_logits", "not rows of numbers") from error

    def _items(self, given: Any) -> dict[str, ItemVerdict]:
        if not isinstance(given, Mapping):
            raise self._fault("items", f"a {type(given).__name__}, not verdicts by key")
        keys = [item.key for item in self._criterion.items]
        unknown = [key for key in given if key not in keys]
        if unknown:
            raise self._fault("items", f"{unknown[0]!r:.80}, which the rubric does not have")
        return {key: self._verdict(given[key]) for key in keys if key in given}

    def _verdict(self, given: Any) -> ItemVerdict:
        if not isinstance(given, ItemVerdict):
            raise self._fault("items", f"a {type(given).__name__}, not an ItemVerdict")
        value = given.value
        return ItemVerdict(
            None if value is None else round(self._number(value, "items"), _DIGITS),
            self._text(given.reason, "items"),
            self._text(given.explanation, "items"),
        )

    def _flags(self, given: Any) -> tuple[str, ...]:
        if type(given) is tuple and not given:
            return ()
        if isinstance(given, str) or not isinstance(given, (tuple, list, set, frozenset)):
            raise self._fault("flags", f"{given!r:.80}, not a tuple of texts")
        return tuple(str(self._text(flag, "flags")) for flag in given)

    def _text(self, given: Any, field: str) -> str | None:
        if given is not None and not isinstance(given, str):
            raise self._fault(field, f"a {type(given).__name__}, not a text")
        return given

    def _number(self, value: Any, field: str) -> float:
        if type(value) is float and math.isfinite(value):
            return value
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise self._fault(field, f"{value!r:.80}, not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._fault(field, f"{value!r:.80}, not a finite number")
        return number

    def _fault(self, field: str, got: str) -> JudgeError:
        return JudgeError(
            f"Judge {self._name!r} scored {self._criterion.key} with {field} {got}; {BUG}."
        )


def _usage(given: Any, name: str) -> Usage | None:
    """Check what a judgement cost."""
    if given is None:
        return None
    if not isinstance(given, Usage):
        raise JudgeError(
            f"Judge {name!r} returned usage as a {type(given).__name__}, not a Usage; {BUG}."
        )
    for field, value in vars(given).items():
        if field == "money" and value is None:
            continue
        wanted: Any = numbers.Real if field in ("money", "seconds") else numbers.Integral
        if not isinstance(value, wanted) or isinstance(value, bool) or not 0 <= value < _MOST:
            raise JudgeError(f"Judge {name!r} returned usage with {field}={value!r:.80}; {BUG}.")
    return given

"""A panel: several judges judge everything, and a rule makes one score of theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from inspector_plugin.data.files import read_json
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.folders import expanded
from inspector_plugin.judges.members import (
    JudgeOfMembers,
    MemberOptions,
    added,
    ask,
    blocks,
    describe_members,
    made_of_members,
)
from inspector_plugin.judging.calls import reason_against
from inspector_plugin.judging.judge import Judge, JudgementGroups
from inspector_plugin.plugins.options import Backend, option
from inspector_plugin.schema.criteria import Criterion, Scale
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest, unscored

RULES = ("mean", "median", "majority", "weighted")
MISSING = "member-missing"
_OVERALL = "overall"
_HEAVIEST = 1_000_000_000  # the sum of weights must stay finite
Weights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class PanelOptions(MemberOptions):
    """The options of the judge `panel`."""

    rule: str = option("mean", "what makes one score of the members'", RULES)
    min_valid: int | None = option(
        None, "fewest members that must give a score; default: more than half"
    )
    weights: str | None = option(
        None,
        "for rule=weighted: numbers with | between, or a JSON file of weights or of "
        "`inspector agree --format json`",
    )
    weighted_by: str = option("quadratic_kappa", "which figure of `inspector agree` is the weight")


PANEL = Backend(
    name="panel",
    summary="several judges, and a rule that makes one score of theirs",
    factory="inspector_plugin.judges.panel:make_panel",
    options=PanelOptions,
)


def make_panel(options: PanelOptions) -> PanelJudge:
    """Make the judge `panel` with members from the registry.

    Raises:
        OptionError: If an option or a member cannot be used.
    """
    return made_of_members("panel", options, PanelJudge)


class PanelJudge(JudgeOfMembers):
    """Asks all members, and makes one score of theirs.

    A member without a score does not count: with `min_valid` scores or more there is a score, and
    it carries the flag "member-missing"; with fewer there is none. A member that raises an error
    ends the run, as it would alone.
    """

    def __init__(self, members: Mapping[str, Judge], options: PanelOptions) -> None:
        """Take the members.

        Args:
            members: Two judges or more, by name.
            options: The rule; `of` is not read.

        Raises:
            OptionError: If the options do not fit the members.
            DataError: If the file of weights cannot be used.
        """
        least = len(members) // 2 + 1 if options.min_valid is None else options.min_valid
        if not 1 <= least <= len(members):
            raise OptionError(
                f"Option 'min_valid' must be from 1 to {len(members)}, the number of members, not "
                f"{least}."
            )
        super().__init__("panel", members, options.labels == "binary")
        self._least, self._rule = least, options.rule
        self._weights = _read_weights(options, tuple(members))

    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        """Hand over the judgements block by block; see `StreamingJudge`."""
        for start, block in blocks(requests):
            judged = {
                name: ask(member, name, block, self._asked_scale)
                for name, member in self._members.items()
            }
            yield [
                (
                    start + place,
                    self._judgement(request, {name: each[place] for name, each in judged.items()}),
                )
                for place, request in enumerate(block)
            ]

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        """Say whether too few members can judge a criterion; see `Judge.cannot_judge`."""
        reasons = {
            name: reason_against(member, criterion, dataset, name)
            for name, member in self._members.items()
        }
        able = [name for name, reason in reasons.items() if reason is None]
        if len(able) < self._least:
            return _too_few(len(able), self._least, len(reasons), "can judge this", reasons)
        different = self._different_scales(criterion, able)
        if different is not None:
            return different
        if self._weights is not None:
            for name in able:
                if self._weight(name, criterion.key) is None:
                    return f"there is no weight of {name} on {criterion.key}"
        return None

    def describe(self) -> Mapping[str, Any]:
        """Name the members and the rule; nothing if a member does not describe itself."""
        members = describe_members(self._members)
        if members is None:
            return {}
        return {
            "members": members,
            "rule": self._rule,
            "min_valid": self._least,
            "weights": self._weights,
            "labels": self._labels,
        }

    def _judgement(self, request: JudgeRequest, judged: Mapping[str, Judgement]) -> Judgement:
        scores = {
            criterion.key: self._score(
                criterion, {name: each.scores[criterion.key] for name, each in judged.items()}
            )
            for criterion in request.criteria
        }
        return Judgement(scores, added(each.usage for each in judged.values()))

    def _score(self, criterion: Criterion, said: Mapping[str, CriterionScore]) -> CriterionScore:
        """Make one score of the members'."""
        valid = {name: score for name, score in said.items() if score.score is not None}
        transient = any(score.transient for score in said.values())
        reasons = {name: score.reason for name, score in said.items()}
        if len(valid) < self._least:
            reason = _too_few(len(valid), self._least, len(said), "gave a score", reasons)
            return replace(unscored(reason, transient=transient), members=said)
        scales = {score.scale for score in valid.values()}
        if len(scales) > 1:
            reason = "the members scored on different scales; labels=binary compares them"
            return replace(unscored(reason), members=said)
        scale = scales.pop()
        assert scale is not None  # judge_all has filled it in
        weights = [1.0] * len(valid)
        if self._weights is not None:
            weights = [self._weight(name, criterion.key) or 0.0 for name in valid]
            if not sum(weights):
                reason = "the members that gave a score have no weight"
                return replace(unscored(reason, transient=transient), members=said)
        flags = dict.fromkeys(flag for score in valid.values() for flag in score.flags)
        if len(valid) < len(said):
            flags[MISSING] = None
        return replace(
            combined(self._rule, list(valid.values()), weights, scale),
            scale=scale,
            flags=tuple(flags),
            transient=transient,
            members=said,
        )

    def _weight(self, member: str, key: str) -> float | None:
        assert self._weights is not None
        of_member = self._weights[member]
        return of_member.get(key, of_member.get(_OVERALL))


def combined(
    rule: str, scores: Sequence[CriterionScore], weights: Sequence[float], scale: Scale
) -> CriterionScore:
    """Make one score of several on one scale.

    Args:
        rule: One of `RULES`: the mean or weighted mean, with the mean of the probabilities where
            all have them; the median; or the label that most chose, with the shares of the votes
            as probabilities. Of labels with equally many votes the one nearest to the mean score
            is taken, the lower of two that are equally near.
        scores: The scores, at least one.
        weights: The weight of each; all alike but for "weighted".
        scale: Their scale.
    """
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    values = [score.score for score in scores if score.score is not None]
    mean = math.fsum(share * value for share, value in zip(shares, values, strict=True))
    # Rounding must not carry the score over the end of the scale.
    mean = min(max(mean, float(scale.minimum)), float(scale.maximum))
    if rule == "median":
        middle = float(median(values))
        return CriterionScore(middle, scale.nearest(middle))
    if rule == "majority":
        votes = {
            label: sum(score.label == label for score in scores) / len(scores)
            for label in scale.labels
        }
        label = min(scale.labels, key=lambda each: (-votes[each], abs(each - mean), each))
        return CriterionScore(float(label), label, votes)
    if any(score.probabilities is None for score in scores):
        return CriterionScore(mean, scale.nearest(mean))
    mixed = {
        label: math.fsum(
            share * (score.probabilities or {})[label]
            for share, score in zip(shares, scores, strict=True)
        )
        for label in scale.labels
    }
    return CriterionScore(mean, max(mixed, key=mixed.__getitem__), mixed)


def _too_few(
    found: int, least: int, count: int, verb: str, reasons: Mapping[str, str | None]
) -> str:
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
    return f"{found} of {count} members {verb}, {least} must ({listed})"


def _read_weights(options: PanelOptions, names: Sequence[str]) -> Weights | None:
    """Read the weights of members by criterion; "overall" serves criteria that are not named."""
    if options.rule != "weighted":
        if options.weights is not None:
            raise OptionError(f"Option 'weights' is for rule=weighted, not {options.rule}.")
        return None
    if options.weights is None:
        raise OptionError(
            "rule=weighted needs weights=0.7|0.4, a number for each member, or weights=FILE."
        )
    try:
        numbers = [float(part) for part in options.weights.split("|")]
    except ValueError:
        read: Weights = _weights_of_file(expanded(options.weights), options.weighted_by, names)
    else:
        if len(numbers) != len(names):
            raise OptionError(
                f"Option 'weights' has {len(numbers)} numbers for {len(names)} members "
                f"({', '.join(names)})."
            )
        read = {name: {_OVERALL: each} for name, each in zip(names, numbers, strict=True)}
    for name, weights in read.items():
        for key, weight in weights.items():
            if not 0 <= weight <= _HEAVIEST:
                raise OptionError(
                    f"The weight of {name} ({key}) must be a number from 0 to {_HEAVIEST:,}, not "
                    f"{weight!s:.40}."
                )
    if not any(weight for weights in read.values() for weight in weights.values()):
        raise OptionError("All weights are 0; one member at least needs a weight above 0.")
    return read


def _weights_of_file(path: Path, statistic: str, names: Sequence[str]) -> Weights:
    """Read weights from {member: weight or {criterion: weight}}, or from figures of agreement."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read the weights {path}: {error}.") from error
    if isinstance(content, dict) and isinstance(content.get("agreement"), list):
        content = _agreement_weights(content["agreement"], statistic, path)
    read: dict[str, dict[str, float]] = {}
    for name in names:
        given = content.get(name) if isinstance(content, dict) else None
        by_key: dict[str, Any] = given if isinstance(given, dict) else {_OVERALL: given}
        if not by_key or not all(type(value) in (int, float) for value in by_key.values()):
            raise DataError(
                f"{path} has no weight of {name!r:.80} that is a number; it needs one for each "
                f"member: {', '.join(names)}."
            )
        read[name] = by_key
    return read


def _agreement_weights(content: Sequence[Any], statistic: str, path: Path) -> dict[str, Any]:
    """Take one figure of each judge; agreement below chance is a weight of 0."""
    weights: dict[str, Any] = {}
    try:
        for judge in content:
            figures = {
                key: figures[statistic]["value"]
                for key, figures in judge["criteria"].items()
                if figures[statistic] is not None
            }
            weights[judge["judge"]] = {key: max(0.0, value) for key, value in figures.items()}
    except (TypeError, LookupError, AttributeError) as error:
        raise DataError(
            f"{path} has no figure {statistic!r:.60} of agreement for each judge; write it by "
            "`inspector agree --format json`, and choose a figure of it with weighted_by."
        ) from error
    return weights

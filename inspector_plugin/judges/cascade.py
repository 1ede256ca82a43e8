"""A cascade: a cheap judge judges everything, and a dear one what the cheap one is unsure of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inspector_plugin.errors import JudgeError, OptionError
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
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest

# Flags of scores by the second judge: why it was asked.
UNSURE, FLAGGED, UNSCORED, AUDIT = "asked-unsure", "asked-flagged", "asked-unscored", "asked-audit"
ANY, NONE = "any", "none"


@dataclass(frozen=True)
class CascadeOptions(MemberOptions):
    """The options of the judge `cascade`."""

    threshold: float | None = option(
        None,
        "the second judge is asked where the first one's label is less probable, from 0 to 1; "
        "required",
    )
    flags: str = option(
        ANY, "flags of the first judge's scores that the second is asked for: any, none or names"
    )
    audit: float = option(0.0, "share of responses that the second judge is asked for in any case")
    seed: int = option(0, "seed of the choice of these responses")


CASCADE = Backend(
    name="cascade",
    summary="a cheap judge first, and a dear one where it is unsure",
    factory="inspector_plugin.judges.cascade:make_cascade",
    options=CascadeOptions,
)


def make_cascade(options: CascadeOptions) -> CascadeJudge:
    """Make the judge `cascade` with members from the registry.

    Raises:
        OptionError: If an option or a member cannot be used.
    """
    return made_of_members("cascade", options, CascadeJudge)


class CascadeJudge(JudgeOfMembers):
    """Asks the first judge, and then the second for the scores that are in doubt.

    A score is in doubt where its label is less probable than the threshold, where it has a flag,
    and where the first judge gave none. The second judge's score then stands alone, with a flag
    that says why it was asked; where it gives none there is none, for its reason. A member that
    raises an error ends the run, as it would alone.
    """

    def __init__(self, members: Mapping[str, Judge], options: CascadeOptions) -> None:
        """Take the members.

        Args:
            members: Two judges by name, the cheap one first.
            options: When to ask the second; `of` is not read.

        Raises:
            OptionError: If there are not two, or the options cannot be used.
        """
        if len(members) != 2:
            raise OptionError(
                f"Judge 'cascade' takes two members, not {len(members)}; a cascade may itself be "
                "a member, in brackets."
            )
        if options.threshold is None or not 0 <= options.threshold <= 1:
            got = "none" if options.threshold is None else f"{options.threshold:g}"
            raise OptionError(
                f"Judge 'cascade' needs a threshold from 0 to 1, not {got}; `inspector plan "
                "cascade` chooses one."
            )
        if not 0 <= options.audit <= 1:
            raise OptionError(f"Option 'audit' must be from 0 to 1, not {options.audit:g}.")
        super().__init__("cascade", members, options.labels == "binary")
        self._threshold, self._audit, self._seed = options.threshold, options.audit, options.seed
        self._flags = doubted_flags(options.flags)

    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        """Hand over the judgements block by block, the first judge before the second."""
        (first_name, first), (second_name, second) = self._members.items()
        scale = self._asked_scale
        for start, block in blocks(requests):
            judged = ask(first, first_name, block, scale)
            why = [self._why(*pair) for pair in zip(block, judged, strict=True)]
            asked = [place for place, reasons in enumerate(why) if reasons]
            open_requests = [
                replace(
                    block[place],
                    criteria=tuple(c for c in block[place].criteria if c.key in why[place]),
                )
                for place in asked
            ]
            answers = dict(zip(asked, ask(second, second_name, open_requests, scale), strict=True))
            yield [
                (start + place, self._judgement(each, answers.get(place), why[place]))
                for place, each in enumerate(judged)
            ]

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        """Say whether one of the two cannot judge a criterion; see `Judge.cannot_judge`.

        Where only the second can, it would judge, and be paid for, everything: that is refused.
        """
        for name, member in self._members.items():
            reason = reason_against(member, criterion, dataset, name)
            if reason is not None:
                return f"{name}, a member of the cascade, cannot judge this: {reason}"
        return self._different_scales(criterion, self._members)

    def describe(self) -> Mapping[str, Any]:
        """Name the members and the threshold; nothing if a member does not describe itself."""
        members = describe_members(self._members)
        if members is None:
            return {}
        return {
            "members": members,
            "order": list(members),
            "threshold": self._threshold,
            "flags": sorted(self._flags),
            "audit": self._audit,
            "seed": self._seed,
            "labels": self._labels,
        }

    def _why(self, request: JudgeRequest, judged: Judgement) -> dict[str, str]:
        """Say for which criteria the second judge is asked, and why.

        Raises:
            JudgeError: If the first judge gives no probabilities.
        """
        is_audited = is_chosen(request, self._audit, self._seed)
        reasons = {}
        for key, score in judged.scores.items():
            reason = self._doubt(score) or (AUDIT if is_audited else None)
            if reason is not None:
                reasons[key] = reason
        return reasons

    def _doubt(self, score: CriterionScore) -> str | None:
        if score.score is None:
            return UNSCORED
        if score.probabilities is None or score.label is None:
            first = next(iter(self._members))
            raise JudgeError(
                f"Judge 'cascade': {first!r} gives scores without probabilities, so that there is "
                "no confidence to hold against the threshold; put a judge first that has them, "
                "such as inspector, lager, or prompt with logprobs=true."
            )
        if score.probabilities[score.label] < self._threshold:
            return UNSURE
        flagged = self._flags != {NONE} and any(
            self._flags == {ANY} or flag in self._flags for flag in score.flags
        )
        return FLAGGED if flagged else None

    def _judgement(
        self, first: Judgement, second: Judgement | None, why: Mapping[str, str]
    ) -> Judgement:
        first_name, second_name = self._members
        scores = {}
        for key, score in first.scores.items():
            if key not in why:
                scores[key] = replace(score, members={first_name: score})
                continue
            assert second is not None
            answer = second.scores[key]
            scores[key] = replace(
                answer,
                flags=(*answer.flags, why[key]),
                members={first_name: score, second_name: answer},
            )
        return Judgement(scores, added([first.usage, None if second is None else second.usage]))


def doubted_flags(text: str) -> frozenset[str]:
    """Read which flags of the first judge's scores the second is asked for.

    Returns:
        `ANY` or `NONE` alone, or names of flags.

    Raises:
        OptionError: If it is neither.
    """
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not names or (len(names) > 1 and names & {ANY, NONE}):
        raise OptionError(
            f"The flags that the second judge is asked for must be {ANY}, {NONE}, or names, not "
            f"{text!r:.80}."
        )
    return names


def is_chosen(request: JudgeRequest, share: float, seed: int) -> bool:
    """Say whether a response falls into the share that is audited.

    It depends on the texts and the seed alone: a run that resumes, in another order or on another
    machine, chooses the same.
    """
    text = json.dumps([seed, request.question, request.response])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return number < share * 2**64

"""The members of panels and cascades: made through the registry, and asked as any judge is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from inspector_plugin.errors import OptionError
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.judging.validate import description_of
from inspector_plugin.plugins.options import JudgeSpec, option, unique_names
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema.criteria import BINARY, LABELS, Criterion, Scale
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest
from inspector_plugin.schema.usage import Usage

# So many requests go to each member at a time: enough for batches and calls side by side, and few
# enough that little is lost when a run is interrupted.
BLOCK = 256


@dataclass(frozen=True)
class _ForMembers:
    """Options that are handed to every member that has one of that name."""

    device: str | None = option(None, "device of the members that run a model; default: their own")
    dtype: str | None = option(None, "dtype of these members; default: their own")
    batch_size: str | None = option(None, "most prompts in a batch; default: their own")
    keep: str | None = option(None, "what the members keep; default: their own")
    concurrency: int | None = option(None, "most calls at once, each member; default: their own")
    max_cost: float | None = option(None, "US dollars that no member's calls of one run must pass")


@dataclass(frozen=True)
class MemberOptions(_ForMembers):
    """The options that panels and cascades share."""

    of: str | None = option(
        None, "the members, with | between; one with several options in brackets; required"
    )
    labels: str = option(
        "multiclass", "scores as the members give them, or low/high quality", LABELS
    )

    @property
    def defaults(self) -> dict[str, Any]:
        """What is handed to the members."""
        values = {each.name: getattr(self, each.name) for each in fields(_ForMembers)}
        return {name: value for name, value in values.items() if value is not None}


class JudgeOfMembers(StreamingJudge):
    """What panels and cascades have in common: their members, and the scale of these."""

    def __init__(self, name: str, members: Mapping[str, Judge], is_binary: bool) -> None:
        """Take the members.

        Args:
            name: The judge's name.
            members: The members by name.
            is_binary: Whether their scores count as low or high quality.

        Raises:
            OptionError: If two members score on different scales, and not as low or high quality.
        """
        self._members = dict(members)
        self._is_binary = is_binary
        self.scale: Scale | None = BINARY if is_binary else _common_scale(name, members)
        self.rubric_form = _common_form({key: each.rubric_form for key, each in members.items()})
        self.question_form = _common_form(
            {key: each.question_form for key, each in members.items()}
        )

    @property
    def _asked_scale(self) -> Scale | None:
        """What `ask` takes."""
        return BINARY if self._is_binary else None

    @property
    def _labels(self) -> str:
        return LABELS[1] if self._is_binary else LABELS[0]

    def close(self) -> None:
        """Close the members."""
        close_members(self._members.values())

    def _different_scales(self, criterion: Criterion, names: Iterable[str]) -> str | None:
        """Say that members score a criterion on different scales, if they do."""
        scales = {name: self._members[name].scale or criterion.scale for name in names}
        if self._is_binary or len(set(scales.values())) <= 1:
            return None
        listed = ", ".join(f"{name} on {scale.name}" for name, scale in scales.items())
        return f"the members score on different scales ({listed}); labels=binary compares them"


Made = TypeVar("Made", bound=JudgeOfMembers)
Options = TypeVar("Options", bound=MemberOptions)


def made_of_members(
    name: str, options: Options, make: Callable[[dict[str, Judge], Options], Made]
) -> Made:
    """Make a judge out of its members, which are closed again if it cannot be made.

    Args:
        name: The judge's name.
        options: Its options.
        make: Makes it out of the members, by their names, and the options.

    Raises:
        OptionError: If an option or a member cannot be used.
    """
    members = make_members(name, options)
    try:
        return make(members, options)
    except BaseException:
        close_members(members.values())
        raise


def make_members(judge: str, options: MemberOptions) -> dict[str, Judge]:
    """Make the members, by their names; what was made is closed again if one cannot be made.

    Raises:
        OptionError: If there are fewer than two, or one cannot be made.
    """
    specs = JudgeSpec(judge, {"of": options.of}).members
    if len(specs) < 2:
        raise OptionError(
            f"Judge {judge!r} needs two members or more, with | between them and quoted for the "
            f"shell: '{judge}:of=inspector|lager,...'; got {options.of or 'none'}."
        )
    with ExitStack() as made:
        members = {}
        for name, spec in zip(unique_names(specs), specs, strict=True):
            members[name] = create_judge(spec, options.defaults)
            made.enter_context(closing(members[name]))
        made.pop_all()
        return members


def close_members(members: Iterable[Judge]) -> None:
    """Close all members, also where closing one of them fails."""
    with ExitStack() as stack:
        for member in members:
            stack.enter_context(member)


def describe_members(members: Mapping[str, Judge]) -> dict[str, Any] | None:
    """Say what the members are made of; None if one does not say, so that nothing is cached."""
    described = {}
    for name, member in members.items():
        made_of = description_of(member, name)
        if not made_of:
            return None
        described[name] = {
            "kind": f"{type(member).__module__}.{type(member).__qualname__}",
            "scoring_version": member.scoring_version,
            "scale": None if member.scale is None else list(member.scale.labels),
            "made_of": made_of,
        }
    return described


def _common_form(forms: Mapping[str, str | None]) -> str | None:
    """The members' forms as one, for the cache; None if none of them has one."""
    known = {name: form for name, form in forms.items() if form is not None}
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16] if known else None


def _common_scale(judge: str, members: Mapping[str, Judge]) -> Scale | None:
    """The scale of all members; None if some score each criterion on its own.

    Raises:
        OptionError: If two members score on different scales.
    """
    scales = {name: member.scale for name, member in members.items()}
    fixed = {scale for scale in scales.values() if scale is not None}
    if len(fixed) > 1:
        listed = ", ".join(f"{name} on {each.name}" for name, each in scales.items() if each)
        raise OptionError(
            f"Judge {judge!r}: its members score on different scales ({listed}); labels=binary "
            "compares them as low and high quality."
        )
    return None if None in scales.values() else fixed.pop()


def ask(
    member: Judge, name: str, requests: Sequence[JudgeRequest], scale: Scale | None
) -> list[Judgement]:
    """Ask a member, as any judge is asked.

    Args:
        member: The member.
        name: What messages call it.
        requests: The requests.
        scale: `BINARY` to have its scores as low or high quality; None to have them as they are.
    """
    judged = judge_all(member, requests, name=name, progress=False)
    return [
        Judgement(
            {key: _as_asked(score, scale) for key, score in judgement.scores.items()},
            judgement.usage,
        )
        for judgement in judged
    ]


def _as_asked(score: CriterionScore, scale: Scale | None) -> CriterionScore:
    if score.score is None:  # it has no scale of its own, least of all that of another criterion
        return replace(score, scale=None)
    assert score.scale is not None  # judge_all has filled it in
    return score.as_binary(score.scale) if scale == BINARY else score


def blocks(requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Sequence[JudgeRequest]]]:
    """Take requests together, each block with the position of its first."""
    for start in range(0, len(requests), BLOCK):
        yield start, requests[start : start + BLOCK]


def added(usages: Iterable[Usage | None]) -> Usage | None:
    """Add up what members cost; None if none of them counts."""
    counted = [usage for usage in usages if usage is not None]
    return sum(counted, Usage()) if counted else None

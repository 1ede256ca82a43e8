"""What a judge is: the class that every backend extends."""

from __future__ import annotations

import abc
from collections.abc import Generator, Mapping, Sequence
from itertools import chain
from types import TracebackType
from typing import Any

from inspector_plugin.schema.criteria import BINARY, MULTICLASS, Criterion, Scale
from inspector_plugin.schema.records import Judgement, JudgeRequest


class Judge(abc.ABC):
    """Scores responses. Backends extend this class; `judge_all` is its only caller.

    Attributes:
        scale: The one scale that this judge scores on: 1-5 unless the class says otherwise.
            `BINARY` means low or high quality on any criterion. None means that it scores each
            criterion on the criterion's own scale.
        scoring_version: Raise it when the same description comes to give other scores: cached
            judgements of another number are not used. It is not the package's version, so that an
            update does not pay again for what has not changed.
        rubric_form: How it executes the items of a rubric, as a hash of what it asks: cached
            judgements of another form are not used. None for a judge that knows nothing of items,
            which is never asked to judge by a rubric that has some.
        question_form: The same for how it judges a question alone (`Criterion.of_question`). None
            for a judge that only judges responses, which is never asked to.
        spec: The specification that `create_judge` made it from.
    """

    scale: Scale | None = MULTICLASS
    scoring_version: int = 1
    rubric_form: str | None = None
    question_form: str | None = None
    spec: str = ""

    @abc.abstractmethod
    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch of requests.

        Args:
            requests: The requests, perhaps none, with no criteria but those that it can judge.

        Returns:
            One judgement for each request, in the same order, each with a score or a reason
            for every criterion of its request. What cannot be judged is unscored with a reason;
            an exception means that no request at all can be judged any more.
        """

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        """Say why this judge cannot judge a criterion on problems of a data set.

        `judge_all` asks before it judges, and leaves what cannot be judged unscored with the
        reason.

        Args:
            criterion: The criterion.
            dataset: The data set as requests name it, None if they name none.

        Returns:
            One line; None if it can. Unless overridden: None for criteria on the judge's scale.
        """
        if self.scale in (None, BINARY, criterion.scale):
            return None
        assert self.scale is not None
        return f"this judge scores on {self.scale.name}, not on {criterion.scale.name}"

    def describe(self) -> Mapping[str, Any]:
        """Say what this judge is made of (model, options, versions), for results and logs.

        The judge cache takes judges of one class with equal descriptions for the same judge, so
        everything that changes a score belongs here. A judge without a description is not cached.

        Returns:
            Values that JSON can hold. Never a key or a password.
        """
        return {}

    def close(self) -> None:
        """Free what the judge holds. Closing twice is allowed."""

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from inspector_plugin.judging.calls import calling

        with calling(self, self.spec or type(self).__name__, "close"):
            self.close()


JudgementGroups = Generator[list[tuple[int, Judgement]], None, None]


class StreamingJudge(Judge):
    """A judge whose judgements come one by one, such as one that makes many calls at a time.

    Attributes:
        independent_criteria: Whether the criteria of a request are judged apart, so that one
            request for each criterion comes to the same. Each is then cached as soon as it is
            judged.
        independent_items: Whether the items of a rubric are judged apart, too. Each verdict is
            then cached by itself, and serves every rubric that holds the item.
    """

    independent_criteria: bool = False
    independent_items: bool = False

    @abc.abstractmethod
    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        """Judge requests, handing over judgements as soon as they are finished.

        A group has been dealt with (put into the judge cache, say) when the next is asked for.

        Args:
            requests: The requests, in any number.

        Yields:
            Groups of judgements, each with the position of its request, each position once, in
            any order.
        """

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch of requests; see `Judge.judge`."""
        judged = dict(chain.from_iterable(self.judge_each(requests)))
        return [judged[position] for position in range(len(requests))]

"""The one way from requests to judgements.

`judge_all` is the only caller of a judge: it looks up what the judge cache has, asks the judge for
the rest, checks what comes back, puts it into the cache at once, shows progress, and hands
judgements on in order as soon as they are done, so that a caller that writes them down loses little
when it is interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from inspector_plugin.errors import JudgeError
from inspector_plugin.judge import Judge, StreamingJudge
from inspector_plugin.schema import (
    AspectScore,
    Judgement,
    JudgeRequest,
    Usage,
    reused,
    total_usage,
    unjudged,
)

if TYPE_CHECKING:
    from inspector_plugin.cache import JudgeCache

EMPTY_RESPONSE = "the response is empty"
EMPTY_QUESTION = "the question is empty"
NOT_UNICODE = "the text is not valid Unicode"
NO_RUBRICS = "this judge reads no rubrics"

OnJudged = Callable[[int, Sequence[Judgement]], None]


def judge_all(
    judge: Judge,
    requests: Sequence[JudgeRequest],
    *,
    chunk_size: int = 64,
    name: str = "judge",
    progress: bool | None = None,
    on_judged: OnJudged | None = None,
    cache: JudgeCache | None = None,
) -> list[Judgement]:
    """Judge requests.

    A request whose question or response is empty, or holds half a surrogate pair, which no
    tokeniser takes, never reaches the judge: it is unscored. With a cache, nothing is judged that
    the cache holds, and what occurs twice is judged once.

    Args:
        judge: The judge.
        requests: The requests, in any number.
        chunk_size: The most requests that the judge judges at once, if it judges batches.
        name: What the progress bar calls the judge.
        progress: Whether to show a progress bar; None shows it on a terminal only.
        on_judged: Called whenever judgements are done up to a further request, with the index of
            the first of these and the judgements; all together come in the order of the requests.
        cache: Where finished judgements are kept, if anywhere.

    Returns:
        One judgement for each request, in the same order.

    Raises:
        JudgeError: If the judge returns another number of judgements than it got requests,
            leaves an aspect out, or gives a score or a label outside its scale.
        DataError: If the cache cannot be used.
    """
    hidden = not sys.stderr.isatty() if progress is None else not progress
    with tqdm(
        total=len(requests), desc=f"Judging ({name})", unit="response", disable=hidden
    ) as bar:
        collector = _Collector(requests, bar, on_judged)
        questions = _questions(judge, requests, collector)
        if not judge.describe():
            cache = None  # nothing says which judge this is
        if cache is not None:
            questions = _take_from_cache(cache, judge, questions, collector)
        collector.hand_on()
        asked = [question.request for question in questions]
        for answers in _answers(judge, asked, chunk_size, name):
            for position, answer in answers:
                _check(judge, asked[position], answer, name)
            if cache is not None:
                cache.put(judge, [(questions[place].key, answer) for place, answer in answers])
            for position, answer in answers:
                collector.add(questions[position].owners, answer)
            collector.hand_on()
    return collector.judgements


@dataclass
class _Question:
    """What the judge is asked: a request, the requests it belongs to, and its key in the cache."""

    request: JudgeRequest
    owners: list[int]
    key: str = ""


@dataclass
class _Collector:
    """Puts the answers to each request together, and hands on what is complete, in order."""

    requests: Sequence[JudgeRequest]
    bar: tqdm[Any]
    on_judged: OnJudged | None
    judgements: list[Judgement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scores: list[dict[str, AspectScore]] = [{} for _ in self.requests]
        self._usages: list[Usage | None] = [None for _ in self.requests]
        self._spent = Usage()

    def add(self, owners: Sequence[int], answer: Judgement) -> None:
        """Take an answer in; only the first of its owners has paid for it."""
        for owner in owners:
            self._scores[owner].update(answer.aspects)
            self._usages[owner] = total_usage([Judgement({}, self._usages[owner]), answer])
            if self._is_complete(owner):
                self.bar.update()
            if answer.usage is not None:
                self._spent += answer.usage
                self.bar.set_postfix_str(self._spent.cost, refresh=False)
            answer = reused(answer)

    def hand_on(self) -> None:
        """Hand on what is complete up to the first request that is not."""
        start = end = len(self.judgements)
        while end < len(self.requests) and self._is_complete(end):
            scores = self._scores[end]
            ordered = {key: scores[key] for key in self.requests[end].aspects}
            self.judgements.append(Judgement(ordered, self._usages[end]))
            end += 1
        if self.on_judged is not None and end > start:
            self.on_judged(start, self.judgements[start:])

    def _is_complete(self, owner: int) -> bool:
        return len(self._scores[owner]) == len(self.requests[owner].aspects)


def _questions(
    judge: Judge, requests: Sequence[JudgeRequest], collector: _Collector
) -> list[_Question]:
    """Say what to ask the judge, settling what there is nothing to ask about."""
    questions = []
    for owner, request in enumerate(requests):
        nothing = _nothing_to_judge(judge, request)
        if nothing is not None:
            collector.add([owner], nothing)
        elif isinstance(judge, StreamingJudge) and judge.independent_aspects:
            parts = [replace(request, aspects=(key,)) for key in request.aspects]
            questions += [_Question(part, [owner]) for part in parts]
        else:
            questions.append(_Question(request, [owner]))
    return questions


def _take_from_cache(
    cache: JudgeCache, judge: Judge, questions: Sequence[_Question], collector: _Collector
) -> list[_Question]:
    """Answer what the cache can answer; return the other questions, each once."""
    by_key: dict[str, _Question] = {}
    keys = cache.keys(judge, [question.request for question in questions])
    for question, key in zip(questions, keys, strict=True):
        first = by_key.setdefault(key, replace(question, owners=[], key=key))
        first.owners.extend(question.owners)
    found = cache.get(list(by_key))
    for key, answer in found.items():
        collector.add(by_key[key].owners, answer)
    return [question for key, question in by_key.items() if key not in found]


def _answers(
    judge: Judge, requests: Sequence[JudgeRequest], chunk_size: int, name: str
) -> Iterator[list[tuple[int, Judgement]]]:
    """Ask the judge; yield what comes back at once, each judgement with its request's position."""
    if isinstance(judge, StreamingJudge):
        with closing(judge.judge_each(requests)) as judged:
            yield from judged
        return
    for start in range(0, len(requests), chunk_size):
        chunk = requests[start : start + chunk_size]
        answers = judge.judge(chunk)
        if len(answers) != len(chunk):
            raise JudgeError(
                f"Judge {name!r} returned {len(answers)} judgements for {len(chunk)} requests; "
                "this is a fault of that judge."
            )
        yield list(enumerate(answers, start))


def _nothing_to_judge(judge: Judge, request: JudgeRequest) -> Judgement | None:
    if not request.response.strip():
        return unjudged(request, EMPTY_RESPONSE)
    if not request.question.strip():
        return unjudged(request, EMPTY_QUESTION)
    if not all(map(_is_unicode, (request.question, request.response, request.rubric or ""))):
        return unjudged(request, NOT_UNICODE)
    if request.rubric is not None and not judge.reads_rubrics:
        return unjudged(request, NO_RUBRICS)
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(judge: Judge, request: JudgeRequest, answer: Judgement, name: str) -> None:
    if set(answer.aspects) != set(request.aspects):
        raise JudgeError(
            f"Judge {name!r} was asked for {sorted(request.aspects)} and judged "
            f"{sorted(answer.aspects)}; this is a fault of that judge."
        )
    low, high, labels = judge.scale.minimum, judge.scale.maximum, judge.scale.labels
    for key, aspect in answer.aspects.items():
        if aspect.score is None:
            continue
        if not low <= aspect.score <= high:
            raise JudgeError(
                f"Judge {name!r} scored {key} {aspect.score}, outside its scale {low}-{high}; "
                "this is a fault of that judge."
            )
        if aspect.label not in labels:
            raise JudgeError(
                f"Judge {name!r} scored {key} with the label {aspect.label}, not one of {labels}; "
                "this is a fault of that judge."
            )

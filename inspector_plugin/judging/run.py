"""From requests to judgements: the one pipeline.

`judge_all` is the only caller of a judge: it settles what the judge cannot judge, looks up what the
judge cache has, asks the judge for the rest, checks what comes back, puts it into the cache at
once, shows progress, and hands judgements on in order as soon as they are done, so that a caller
that writes them down loses little when it is interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.calls import answers, calling, reason_against
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.validate import completed, description_of
from inspector_plugin.progress import Progress
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import (
    CriterionScore,
    Judgement,
    JudgeRequest,
    reused,
    total_usage,
    unjudged,
)
from inspector_plugin.schema.usage import Usage

if TYPE_CHECKING:
    from inspector_plugin.judging.cache import JudgeCache

EMPTY_RESPONSE = "the response is empty"
EMPTY_QUESTION = "the question is empty"
NOT_UNICODE = "the text is not valid Unicode"

OnJudged = Callable[[int, Sequence[Judgement]], None]


def judge_all(
    judge: Judge,
    requests: Sequence[JudgeRequest],
    *,
    chunk_size: int = 64,
    name: str = "judge",
    progress: bool = True,
    on_judged: OnJudged | None = None,
    cache: JudgeCache | None = None,
) -> list[Judgement]:
    """Judge requests.

    What never reaches the judge is unscored, with the reason: a request whose question or response
    is empty, or holds an unpaired surrogate, which no tokenizer takes, and a criterion that the
    judge cannot judge. With a cache, nothing is judged that the cache holds, and what occurs twice
    is judged once.

    Args:
        judge: The judge.
        requests: The requests, in any number.
        chunk_size: The most requests that the judge judges at once, if it judges batches.
        name: What progress and messages call the judge.
        progress: Whether to show progress.
        on_judged: Called whenever judgements are done up to a further request, with the index of
            the first of these and the judgements; all together come in the order of the requests.
        cache: Where finished judgements are kept, if anywhere.

    Returns:
        One judgement for each request, in the same order.

    Raises:
        JudgeError: If the judge returns another number of judgements than it got requests,
            leaves a criterion out, or gives a score or a label outside the scale.
        DataError: If the cache cannot be used.
    """
    shown = Progress(len(requests), f"Judging ({name})", "response") if progress else None
    with shown or nullcontext():
        collector = _Collector(requests, shown, on_judged)
        questions = _questions(judge, requests, collector, name)
        with calling(judge, name, "describe"):
            described = description_of(judge, name)
        if not described:
            cache = None  # nothing says which judge this is
        if cache is not None:
            questions = _take_from_cache(cache, judge, questions, collector)
        collector.hand_on()
        asked = [question.request for question in questions]
        for group in answers(judge, asked, chunk_size, name):
            judged: list[tuple[_Question, Judgement]] = []
            try:
                for place, answer in group:
                    judged.append((questions[place], completed(judge, asked[place], answer, name)))
            finally:  # what is good is kept, even if the next answer stops the run
                if cache is not None:
                    cache.put(judge, [(question.key, answer) for question, answer in judged])
            for question, answer in judged:
                collector.add(question.owners, answer)
            collector.hand_on()
    return collector.judgements


def cannot_judge(judge: Judge, requests: Sequence[JudgeRequest]) -> Counter[str]:
    """Count the scores that a judge will not give, by reason, before anything is judged.

    Args:
        judge: The judge.
        requests: What it will be asked.
    """
    asked = Counter(
        (criterion, request.dataset) for request in requests for criterion in request.criteria
    )
    reasons: Counter[str] = Counter()
    for (criterion, dataset), count in asked.items():
        reason = reason_against(judge, criterion, dataset)
        if reason is not None:
            reasons[reason] += count
    return reasons


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
    progress: Progress | None
    on_judged: OnJudged | None
    judgements: list[Judgement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scores: list[dict[str, CriterionScore]] = [{} for _ in self.requests]
        self._usages: list[Usage | None] = [None for _ in self.requests]
        self._spent = Usage()

    def add(self, owners: Sequence[int], answer: Judgement) -> None:
        """Take an answer in; only the first of its owners has paid for it."""
        for owner in owners:
            self._scores[owner].update(answer.scores)
            self._usages[owner] = total_usage([Judgement({}, self._usages[owner]), answer])
            if answer.usage is not None:
                self._spent += answer.usage
            if self._is_complete(owner) and self.progress is not None:
                self.progress.advance(note=self._spent.cost if answer.usage is not None else "")
            answer = reused(answer)

    def hand_on(self) -> None:
        """Hand on what is complete up to the first request that is not."""
        start = end = len(self.judgements)
        while end < len(self.requests) and self._is_complete(end):
            scores = self._scores[end]
            ordered = {key: scores[key] for key in self.requests[end].keys}
            self.judgements.append(Judgement(ordered, self._usages[end]))
            end += 1
        if self.on_judged is not None and end > start:
            self.on_judged(start, self.judgements[start:])

    def _is_complete(self, owner: int) -> bool:
        return len(self._scores[owner]) == len(self.requests[owner].criteria)


def _questions(
    judge: Judge, requests: Sequence[JudgeRequest], collector: _Collector, name: str
) -> list[_Question]:
    """Say what to ask the judge, settling what there is nothing to ask about."""
    split = isinstance(judge, StreamingJudge) and judge.independent_criteria
    known: dict[tuple[Criterion, str | None], str | None] = {}
    questions = []
    for owner, request in enumerate(requests):
        nothing = _nothing_to_judge(request)
        if nothing is not None:
            collector.add([owner], unjudged(request, nothing, scale=judge.scale))
            continue
        criteria = []
        for criterion in request.criteria:
            key = (criterion, request.dataset)
            if key not in known:
                known[key] = reason_against(judge, *key, name)
            reason = known[key]
            if reason is None:
                criteria.append(criterion)
            else:
                alone = replace(request, criteria=(criterion,))
                collector.add([owner], unjudged(alone, reason, scale=judge.scale))
        parts = [(criterion,) for criterion in criteria] if split else [tuple(criteria)]
        questions += [_Question(replace(request, criteria=part), [owner]) for part in parts if part]
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
    found = {}
    for key, answer in cache.get(list(by_key)).items():
        with suppress(JudgeError):  # an entry that is damaged counts as not found
            found[key] = completed(judge, by_key[key].request, answer, "cache")
            collector.add(by_key[key].owners, found[key])
    return [question for key, question in by_key.items() if key not in found]


def _nothing_to_judge(request: JudgeRequest) -> str | None:
    if not request.response.strip():
        return EMPTY_RESPONSE
    if not request.question.strip():
        return EMPTY_QUESTION
    texts = [request.question, request.response]
    texts += [criterion.definition for criterion in request.criteria]
    return None if all(map(_is_unicode, texts)) else NOT_UNICODE


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

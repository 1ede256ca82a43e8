"""From requests to judgements: the one pipeline.

`judge_all` is the only caller of a judge: it settles what the judge cannot judge, looks up what the
judge cache has, asks the judge for the rest, checks what comes back, puts it into the cache at
once, shows progress, and hands judgements on in order as soon as they are done, so that a caller
that writes them down loses little when it is interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from inspector_plugin.data.rubrics import NO_ITEMS_FOR_PROBLEM, has_no_items, with_own_rubrics
from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.calls import answers, calling, reason_against
from inspector_plugin.judging.item_questions import ItemScores, rubrics_of_one_item
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.validate import completed, description_of
from inspector_plugin.progress import Progress
from inspector_plugin.schema.criteria import Criterion, Scale
from inspector_plugin.schema.records import (
    CriterionScore,
    Judgement,
    JudgeRequest,
    reused,
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
    is empty, is no text, or holds an unpaired surrogate, which no tokenizer takes, and a criterion
    that the judge cannot judge. Criteria that judge the question alone need no response, and are
    judged once for all responses to it. Of a rubric with items for single problems, each request is
    judged by those for its own problem; it is unscored where there are none. With a cache, nothing
    is judged that the cache holds, and what occurs twice is judged once.

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
    requests = [with_own_rubrics(request) for request in requests]
    shown = Progress(len(requests), f"Judging ({name})", "response") if progress else None
    with shown or nullcontext():
        collector = _Collector(requests, judge.scale, shown, on_judged)
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


def cannot_judge(judge: Judge, asked: Mapping[tuple[Criterion, str | None], int]) -> Counter[str]:
    """Count the scores that a judge will not give, by reason, before anything is judged.

    Args:
        judge: The judge.
        asked: How many scores it will be asked for, by criterion and data set.
    """
    reasons: Counter[str] = Counter()
    for (criterion, dataset), count in asked.items():
        reason = _reason(judge, criterion, dataset)
        if reason is not None:
            reasons[reason] += count
    return reasons


# The position of a request; and that of the item, where one is asked about by itself.
_Owner = tuple[int, int | None]


@dataclass
class _Question:
    """What the judge is asked: a request, the requests it belongs to, and its key in the cache."""

    request: JudgeRequest
    owners: list[_Owner]
    key: str = ""


@dataclass
class _Collector:
    """Puts the answers to each request together, and hands on what is complete, in order."""

    requests: Sequence[JudgeRequest]
    scale: Scale | None
    progress: Progress | None
    on_judged: OnJudged | None
    judgements: list[Judgement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scores: list[dict[str, CriterionScore]] = [{} for _ in self.requests]
        self._items: dict[tuple[int, str], ItemScores] = {}
        self._usages: list[Usage | None] = [None for _ in self.requests]
        self._spent = Usage()

    def add(self, owners: Sequence[_Owner], answer: Judgement) -> None:
        """Take an answer in; only the first of its owners has paid for it."""
        for owner, item in owners:
            if item is None:
                self._scores[owner].update(answer.scores)
            else:
                self._add_item(owner, item, answer)
            if answer.usage is not None:
                self._usages[owner] = (self._usages[owner] or Usage()) + answer.usage
                self._spent += answer.usage
            if self._is_complete(owner) and self.progress is not None:
                self.progress.advance(note=self._spent.cost if answer.usage is not None else "")
            answer = reused(answer)

    def _add_item(self, owner: int, item: int, answer: Judgement) -> None:
        """Take the answer on one item of a rubric in; the last one makes the score."""
        for key, score in answer.scores.items():
            (criterion,) = (each for each in self.requests[owner].criteria if each.key == key)
            known = self._items.setdefault((owner, key), ItemScores(criterion, self.scale))
            whole = known.add(item, score)
            if whole is not None:
                self._scores[owner][key] = whole

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
    # For criteria and data set that requests share: why the judge cannot judge each of them.
    known: dict[tuple[tuple[Criterion, ...], str | None], list[str | None]] = {}
    # Questions that are judged alone: whatever the response, they are asked once.
    alone: dict[tuple[str, str | None, tuple[Criterion, ...]], _Question] = {}
    questions = []
    for owner, request in _by_what_is_judged(requests):
        nothing = _nothing_to_judge(request)
        if nothing is not None:
            collector.add([(owner, None)], unjudged(request, nothing, scale=judge.scale))
            continue
        asked = (request.criteria, request.dataset)
        reasons = known.get(asked)
        if reasons is None:
            reasons = known[asked] = [
                _reason(judge, criterion, request.dataset, name) for criterion in request.criteria
            ]
        criteria = []
        for criterion, reason in zip(request.criteria, reasons, strict=True):
            if reason is None:
                criteria.append(criterion)
            else:
                unasked = replace(request, criteria=(criterion,))
                collector.add([(owner, None)], unjudged(unasked, reason, scale=judge.scale))
        for part, item in _apart(judge, criteria):
            whole = part == request.criteria
            question = _Question(request if whole else replace(request, criteria=part), [])
            if part[0].of_question:
                question = alone.setdefault((request.question, request.dataset, part), question)
            if not question.owners:
                questions.append(question)
            question.owners.append((owner, item))
    return questions


def _by_what_is_judged(requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, JudgeRequest]]:
    """Part requests into what is judged of the response, and of the question alone.

    Yields:
        Requests, each with the position of the one that it is part of. In those of a question
        alone there is nothing that depends on the response.
    """
    for owner, request in enumerate(requests):
        of_question = tuple(each for each in request.criteria if each.of_question)
        if not of_question:
            yield owner, request
            continue
        of_response = tuple(each for each in request.criteria if not each.of_question)
        if of_response:
            yield owner, replace(request, criteria=of_response)
        yield owner, replace(request, response="", correct=None, criteria=of_question)


def _apart(
    judge: Judge, criteria: Sequence[Criterion]
) -> list[tuple[tuple[Criterion, ...], int | None]]:
    """Say which criteria are asked about together; with the position of the item, if of one."""
    if not (isinstance(judge, StreamingJudge) and judge.independent_criteria):
        return [(tuple(criteria), None)] if criteria else []
    parts: list[tuple[tuple[Criterion, ...], int | None]] = []
    for criterion in criteria:
        if judge.independent_items and criterion.is_rubric:
            items = rubrics_of_one_item(criterion)
            parts += [((each,), place) for place, each in enumerate(items)]
        else:
            parts.append(((criterion,), None))
    return parts


def _reason(
    judge: Judge, criterion: Criterion, dataset: str | None, name: str = "judge"
) -> str | None:
    """Say why a criterion of a request cannot be judged; None if it can."""
    reason = reason_against(judge, criterion, dataset, name)
    return NO_ITEMS_FOR_PROBLEM if reason is None and has_no_items(criterion) else reason


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
    """Say why a request cannot be judged; some model or program made what in it is no text."""
    for name, text in (("question", request.question), ("response", request.response)):
        if not isinstance(text, str):
            return f"the {name} is not text but of type {type(text).__name__}"
    if not request.response.strip() and not all(each.of_question for each in request.criteria):
        return EMPTY_RESPONSE
    if not request.question.strip():
        return EMPTY_QUESTION
    texts = (request.question, request.response)
    readable = all(map(_is_unicode, texts)) and _are_unicode(request.criteria)
    return None if readable else NOT_UNICODE


@lru_cache(maxsize=256)
def _are_unicode(criteria: tuple[Criterion, ...]) -> bool:
    return all(_is_unicode(text) for criterion in criteria for text in criterion.texts)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

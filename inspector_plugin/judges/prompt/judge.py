"""The prompt judge: asks a language model for a score and a justification.

Source: the reference judge of INSPECTOR (arXiv 2601.22588), one call for each criterion at
temperature 0. The prompts are ours. The model answers through an OpenAI-compatible endpoint or runs
on this machine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from inspector_plugin.errors import OptionError
from inspector_plugin.judges.prompt.items import (
    expected_value,
    items_conversation,
    items_fingerprint,
    items_form,
    parse_items,
    unread_of,
)
from inspector_plugin.judges.prompt.messages import (
    Conversation,
    ItemSource,
    Refusal,
    Reply,
    Source,
)
from inspector_plugin.judges.prompt.options import DeepSeekOptions, PromptOptions
from inspector_plugin.judges.prompt.prompts import (
    asked_again,
    conversation_for,
    prompts_fingerprint,
    question_fingerprint,
    scores_form,
)
from inspector_plugin.judges.prompt.replies import (
    ReplyFault,
    Verdict,
    parse_reply,
    score_probabilities,
)
from inspector_plugin.judges.prompt.sources import make_source
from inspector_plugin.judges.prompt.untrusted import MAX_KEPT_CHARACTERS
from inspector_plugin.judging.judge import JudgementGroups, StreamingJudge
from inspector_plugin.schema.criteria import BINARY, Criterion
from inspector_plugin.schema.records import (
    CriterionScore,
    Judgement,
    JudgeRequest,
    expected_score,
    unscored,
)
from inspector_plugin.schema.rubric_scores import rubric_score
from inspector_plugin.schema.rubrics import ItemVerdict, RubricItem
from inspector_plugin.schema.usage import Usage

MAX_ASKED_AGAIN = 2


@dataclass
class _Call:
    """One conversation with the model: what it is about, and what it has cost so far.

    Attributes:
        owner: The position of its request.
        criteria: The criteria asked for; a rubric stands alone.
        items: The items asked about, where it is one of a rubric.
        conversation: What is asked.
        usage: What it has cost.
    """

    owner: int
    criteria: tuple[Criterion, ...]
    items: tuple[RubricItem, ...]
    conversation: Conversation
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class _Answer:
    """What a call came to: scores on criteria by key, or verdicts on items by key.

    Attributes:
        scores: The scores.
        verdicts: The verdicts.
        unusable: The reply that could not be used, if it could not.
        transient: Whether asking again later may help.
    """

    scores: Mapping[str, CriterionScore] = field(default_factory=dict)
    verdicts: Mapping[str, ItemVerdict] = field(default_factory=dict)
    unusable: str | None = None
    transient: bool = False


_Answers = Generator[list[tuple[_Call, _Answer]], None, None]


class PromptJudge(StreamingJudge):
    """Scores responses by asking a language model.

    A reply that cannot be read with certainty is asked for again, at most twice, with the fault
    pointed out; then the response is unscored and the raw reply is the explanation. A reply that
    the limit of tokens has cut is not asked for again: it would be cut again.

    The items of a rubric are asked about one by one, or in one call with `mode` "joint". A language
    model on this machine reads problem and response once and gives the probability of yes on every
    item, without writing a reply; only with "joint" does it write one.
    """

    def __init__(self, source: Source, options: PromptOptions) -> None:
        """Take what answers, and how to ask it.

        Args:
            source: Where the replies come from.
            options: `mode` "per-criterion" is the published way, a call for each criterion.
        """
        self.scale = BINARY if options.labels == "binary" else None
        self._reader = source if isinstance(source, ItemSource) and not options.joint else None
        self.independent_criteria = not options.joint
        self.independent_items = not options.joint and self._reader is None
        self.rubric_form = items_fingerprint()
        self.question_form = question_fingerprint()
        self._source = source
        self._options = options

    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        """Hand over each judgement when its last call is finished; see `StreamingJudge`."""
        collected = [_Collected(request) for request in requests]
        yield from self._read_rubrics(requests, collected)
        calls = [
            call for owner, request in enumerate(requests) for call in self._calls(owner, request)
        ]
        with closing(self._answers(calls)) as answers:
            for group in answers:
                complete = []
                for call, answer in group:
                    known = collected[call.owner]
                    known.usage += call.usage
                    if call.items:
                        score = known.rubric_score(call.criteria[0], answer)
                        if score is not None:
                            known.scores[call.criteria[0].key] = self._on_own_scale(
                                score, call.criteria[0]
                            )
                    known.scores.update(answer.scores)
                    if known.is_complete:
                        complete.append((call.owner, known.judgement()))
                yield complete

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        """Say whether the answers to a rubric's items cannot be read; see `Judge.cannot_judge`."""
        if self._reader is not None and criterion.is_rubric:
            return self._reader.cannot_read(criterion)
        return super().cannot_judge(criterion, dataset)

    def describe(self) -> Mapping[str, Any]:
        """Name the model and everything else that determines the scores."""
        options = self._options
        return {
            **self._source.describe(),
            "mode": "joint" if options.joint else "per-criterion",
            "labels": options.labels,
            "dataset": options.dataset,
            "logprobs": options.logprobs,
            "prompts": prompts_fingerprint(),
        }

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _read_rubrics(
        self, requests: Sequence[JudgeRequest], collected: Sequence[_Collected]
    ) -> JudgementGroups:
        """Let a model on this machine read the items of all rubrics off its next token."""
        if self._reader is None:
            return
        asked = [
            (owner, criterion)
            for owner, request in enumerate(requests)
            for criterion in request.criteria
            if criterion.is_rubric
        ]
        pairs = [(requests[owner], criterion) for owner, criterion in asked]
        for group in self._reader.item_values(pairs):
            complete = []
            for position, read in group:
                owner, criterion = asked[position]
                known = collected[owner]
                known.usage += read.usage
                if isinstance(read, Refusal):
                    score = unscored(read.reason, transient=read.transient)
                else:
                    verdicts = {key: ItemVerdict(value) for key, value in read.values.items()}
                    score = rubric_score(criterion, verdicts)
                known.scores[criterion.key] = self._on_own_scale(score, criterion)
                if known.is_complete:
                    complete.append((owner, known.judgement()))
            yield complete

    def _calls(self, owner: int, request: JudgeRequest) -> Iterator[_Call]:
        """Say what to ask about a request."""
        joint = self._options.joint
        plain = tuple(each for each in request.criteria if not each.is_rubric)
        of_response = tuple(each for each in plain if not each.of_question)
        of_question = tuple(each for each in plain if each.of_question)
        together = [each for each in (of_response, of_question) if each]
        for criteria in together if joint else [(each,) for each in plain]:
            dataset = self._options.dataset or request.dataset
            conversation = conversation_for(request, criteria, joint, dataset)
            yield _Call(owner, criteria, (), conversation)
        if self._reader is not None:
            return
        for criterion in (each for each in request.criteria if each.is_rubric):
            for items in [criterion.items] if joint else [(item,) for item in criterion.items]:
                conversation = items_conversation(request, criterion, items, joint)
                yield _Call(owner, (criterion,), items, conversation)

    def _answers(self, calls: list[_Call]) -> _Answers:
        """Ask, and ask again where the reply cannot be used."""
        for left in range(MAX_ASKED_AGAIN, -1, -1):
            again: list[_Call] = []
            with closing(self._source.replies([call.conversation for call in calls])) as groups:
                for group in groups:
                    answered = []
                    for position, reply in group:
                        call = calls[position]
                        call.usage += reply.usage
                        answer = self._answer(call, reply, left > 0)
                        if isinstance(answer, Conversation):
                            again.append(replace(call, conversation=answer))
                        else:
                            answered.append((call, answer))
                    yield answered
            calls = again

    def _answer(
        self, call: _Call, reply: Reply | Refusal, may_ask_again: bool
    ) -> _Answer | Conversation:
        """Read a reply; return what to ask next if it cannot be used."""
        if isinstance(reply, Refusal):
            return _nothing(call, reply.reason, transient=reply.transient)
        try:
            return self._read(call, reply, may_ask_again)
        except ReplyFault as fault:
            if reply.cut:
                reason = f"the reply was cut off at max_tokens={self._options.reply_tokens}"
                return _nothing(call, f"{reason}; raise max_tokens")
            if may_ask_again:
                joint = self._options.joint
                form = (
                    items_form(call.items, joint)
                    if call.items
                    else scores_form(call.criteria, joint)
                )
                return asked_again(call.conversation, reply.text, str(fault), form)
            reason = f"the reply cannot be used: {fault}"
            return _nothing(call, reason, unusable=self._kept(reply.text))

    def _read(self, call: _Call, reply: Reply, whole: bool) -> _Answer:
        """Read a reply.

        Raises:
            ReplyFault: If it cannot be used, or, where that is asked for, not as a whole.
        """
        joint = self._options.joint
        if not call.items:
            read = parse_reply(reply.text, call.criteria, joint)
            return _Answer({c.key: self._score(reply, c, read[c.key]) for c in call.criteria})
        verdicts = parse_items(reply.text, call.items, joint)
        unread = unread_of(verdicts)
        if unread and whole:
            raise ReplyFault(f"it has no usable answer for {', '.join(unread)}")
        by_key = {item.key: item for item in call.items}
        return _Answer(
            verdicts={
                key: self._verdict(reply, by_key[key], verdict) for key, verdict in verdicts.items()
            },
            unusable=self._kept(reply.text) if unread else None,
        )

    def _verdict(self, reply: Reply, item: RubricItem, verdict: ItemVerdict) -> ItemVerdict:
        """Put the probability in place of the answer, where that is asked for."""
        verdict = replace(verdict, explanation=self._kept(verdict.explanation))
        if verdict.value is None or not self._options.logprobs:
            return verdict
        try:
            expected = expected_value(
                reply.text, reply.tokens or (), item, verdict.value, self._options.joint
            )
        except ReplyFault as fault:
            return ItemVerdict(None, f"no probability of the answer: {fault}", verdict.explanation)
        return replace(verdict, value=expected)

    def _on_own_scale(self, score: CriterionScore, criterion: Criterion) -> CriterionScore:
        return score if self.scale is None else score.as_binary(criterion.scale)

    def _score(self, reply: Reply, criterion: Criterion, verdict: Verdict) -> CriterionScore:
        score = self._own_scale_score(reply, criterion, verdict)
        return self._on_own_scale(score, criterion)

    def _own_scale_score(
        self, reply: Reply, criterion: Criterion, verdict: Verdict
    ) -> CriterionScore:
        if not self._options.logprobs:
            return CriterionScore(
                float(verdict.score), verdict.score, explanation=self._kept(verdict.justification)
            )
        try:
            probabilities = score_probabilities(
                reply.text, reply.tokens or (), criterion, verdict.score, self._options.joint
            )
        except ReplyFault as fault:
            return unscored(f"no expected score: {fault}", explanation=self._kept(reply.text))
        score = expected_score(list(probabilities.values()), criterion.scale)
        return replace(score, explanation=self._kept(verdict.justification))

    def _kept(self, text: str | None) -> str | None:
        """What is kept of a text, in outputs and in the judge cache."""
        return None if text is None else self._source.clean(text)[:MAX_KEPT_CHARACTERS]


@dataclass
class _Collected:
    """What is known of one request so far."""

    request: JudgeRequest
    scores: dict[str, CriterionScore] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    _answers: dict[str, list[_Answer]] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return len(self.scores) == len(self.request.criteria)

    def judgement(self) -> Judgement:
        return Judgement({key: self.scores[key] for key in self.request.keys}, self.usage)

    def rubric_score(self, criterion: Criterion, answer: _Answer) -> CriterionScore | None:
        """Take in verdicts on items; give the score when the last of them is there."""
        answers = self._answers.setdefault(criterion.key, [])
        answers.append(answer)
        verdicts = {key: each for found in answers for key, each in found.verdicts.items()}
        if len(verdicts) < len(criterion.items):
            return None
        unusable = [found.unusable for found in answers if found.unusable is not None]
        return rubric_score(
            criterion,
            verdicts,
            explanation=unusable[0] if unusable else None,
            transient=any(found.transient for found in answers),
        )


def _nothing(
    call: _Call, reason: str, *, unusable: str | None = None, transient: bool = False
) -> _Answer:
    """What a call came to that gave no answer, and why."""
    if call.items:
        verdicts = {item.key: ItemVerdict(None, reason) for item in call.items}
        return _Answer(verdicts=verdicts, unusable=unusable, transient=transient)
    score = unscored(reason, explanation=unusable, transient=transient)
    return _Answer({criterion.key: score for criterion in call.criteria})


def make_prompt_judge(options: PromptOptions | DeepSeekOptions) -> PromptJudge:
    """Make the judges `prompt` and `deepseek`.

    Raises:
        OptionError: If an option is missing or unusable, or no key is found.
        ModelError: If a local model cannot be loaded.
    """
    if isinstance(options, DeepSeekOptions):
        options = PromptOptions(**vars(options))
    if not options.model:
        raise OptionError(
            "The prompt judge needs a model: prompt:model=NAME,base_url=URL for an endpoint, "
            "prompt:model=FOLDER for a language model on this machine."
        )
    return PromptJudge(make_source(options), options)

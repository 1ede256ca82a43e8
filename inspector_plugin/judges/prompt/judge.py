"""The prompt judge: asks a language model for a score and a justification.

Source: the reference judge of INSPECTOR (arXiv 2601.22588), one call for each criterion at
temperature 0. The prompts are ours. The model answers through an OpenAI-compatible endpoint or runs
on this machine.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from inspector_plugin.errors import OptionError
from inspector_plugin.judges.prompt.dry_run import DryRun
from inspector_plugin.judges.prompt.keys import check_base_url, read_key, warn_of_plain_http
from inspector_plugin.judges.prompt.messages import Conversation, Refusal, Reply, Source
from inspector_plugin.judges.prompt.options import DeepSeekOptions, PromptOptions
from inspector_plugin.judges.prompt.prices import price_of
from inspector_plugin.judges.prompt.prompts import (
    asked_again,
    conversation_for,
    prompts_fingerprint,
)
from inspector_plugin.judges.prompt.replies import (
    ReplyFault,
    Verdict,
    parse_reply,
    score_probabilities,
)
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
from inspector_plugin.schema.usage import Usage

MAX_ASKED_AGAIN = 2


@dataclass
class _Call:
    """One conversation with the model: what it is about, and what it has cost so far."""

    owner: int
    criteria: tuple[Criterion, ...]
    conversation: Conversation
    usage: Usage = field(default_factory=Usage)


_Answers = Generator[list[tuple[_Call, dict[str, CriterionScore]]], None, None]


class PromptJudge(StreamingJudge):
    """Scores responses by asking a language model.

    A reply that cannot be read with certainty is asked for again, at most twice, with the fault
    pointed out; then the response is unscored and the raw reply is the explanation. A reply that
    the limit of tokens has cut is not asked for again: it would be cut again.
    """

    def __init__(self, source: Source, options: PromptOptions) -> None:
        """Take what answers, and how to ask it.

        Args:
            source: Where the replies come from.
            options: `mode` "per-criterion" is the published way, a call for each criterion.
        """
        self.scale = BINARY if options.labels == "binary" else None
        self.independent_criteria = not options.joint
        self._source = source
        self._options = options

    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        """Hand over each judgement when its last call is finished; see `StreamingJudge`."""
        calls = [
            _Call(owner, criteria, self._conversation(request, criteria))
            for owner, request in enumerate(requests)
            for criteria in self._split(request.criteria)
        ]
        scores: list[dict[str, CriterionScore]] = [{} for _ in requests]
        usages = [Usage() for _ in requests]
        with closing(self._answers(calls)) as answers:
            for group in answers:
                complete = []
                for call, scored in group:
                    owner, keys = call.owner, requests[call.owner].keys
                    scores[owner].update(scored)
                    usages[owner] += call.usage
                    if len(scores[owner]) == len(keys):
                        ordered = {key: scores[owner][key] for key in keys}
                        complete.append((owner, Judgement(ordered, usages[owner])))
                yield complete

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

    def _split(self, criteria: tuple[Criterion, ...]) -> list[tuple[Criterion, ...]]:
        return [criteria] if self._options.joint else [(each,) for each in criteria]

    def _conversation(self, request: JudgeRequest, criteria: tuple[Criterion, ...]) -> Conversation:
        dataset = self._options.dataset or request.dataset
        return conversation_for(request, criteria, self._options.joint, dataset)

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
                        scored = self._scores(call, reply, left > 0)
                        if isinstance(scored, Conversation):
                            again.append(replace(call, conversation=scored))
                        else:
                            answered.append((call, scored))
                    yield answered
            calls = again

    def _scores(
        self, call: _Call, reply: Reply | Refusal, may_ask_again: bool
    ) -> dict[str, CriterionScore] | Conversation:
        """Read a reply; return what to ask next if it cannot be used."""
        keys = [criterion.key for criterion in call.criteria]
        if isinstance(reply, Refusal):
            return dict.fromkeys(keys, unscored(reply.reason, transient=reply.transient))
        try:
            verdicts = parse_reply(reply.text, call.criteria, self._options.joint)
        except ReplyFault as fault:
            if reply.cut:
                reason = f"the reply was cut off at max_tokens={self._options.reply_tokens}"
                return dict.fromkeys(keys, unscored(f"{reason}; raise max_tokens"))
            if may_ask_again:
                return asked_again(
                    call.conversation,
                    reply.text,
                    str(fault),
                    call.criteria,
                    self._options.joint,
                )
            reason = f"the reply cannot be used: {fault}"
            return dict.fromkeys(keys, unscored(reason, explanation=self._kept(reply.text)))
        return {each.key: self._score(reply, each, verdicts[each.key]) for each in call.criteria}

    def _score(self, reply: Reply, criterion: Criterion, verdict: Verdict) -> CriterionScore:
        score = self._own_scale_score(reply, criterion, verdict)
        return score if self.scale is None else score.as_binary(criterion.scale)

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
    return PromptJudge(_make_source(options), options)


def _make_source(options: PromptOptions) -> Source:
    assert options.model is not None
    price = price_of(options.model, options.prices)
    if options.base_url is None and options.dry_run:
        raise OptionError("dry_run is for endpoints; a model on this machine costs no money.")
    if options.base_url is None:
        from inspector_plugin.judges.prompt.local import LocalModel

        return LocalModel(options)
    if options.max_cost is not None and price is None:
        raise OptionError(
            f"max_cost needs the price of {options.model!r}, which is not in the table; give "
            "prices=FILE."
        )
    options = replace(options, base_url=check_base_url(options.base_url))
    if options.dry_run:
        return DryRun(options, price)
    from inspector_plugin.judges.prompt.endpoint import Endpoint

    key = read_key(options.key_env, options.key_file)
    if key is not None:
        warn_of_plain_http(options.base_url or "")
    return Endpoint(options, key, price)

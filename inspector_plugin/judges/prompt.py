"""The prompt judge: asks a language model for a score and a justification.

Source: the reference judge of INSPECTOR (arXiv 2601.22588), one call per aspect at temperature 0.
The prompts are ours. The model answers through an OpenAI-compatible endpoint or runs on this
machine.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from inspector_plugin.errors import OptionError
from inspector_plugin.judge import JudgementGroups, StreamingJudge
from inspector_plugin.prompting.dry_run import DryRun
from inspector_plugin.prompting.messages import Conversation, Refusal, Reply, Source
from inspector_plugin.prompting.options import PromptOptions
from inspector_plugin.prompting.prices import price_of
from inspector_plugin.prompting.prompts import asked_again, conversation_for, prompts_fingerprint
from inspector_plugin.prompting.replies import (
    ReplyFault,
    Verdict,
    parse_reply,
    score_probabilities,
)
from inspector_plugin.prompting.settings import check_base_url, read_key
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    PASSING,
    SCALES,
    AspectScore,
    Judgement,
    JudgeRequest,
    Usage,
    unscored,
)

MAX_ASKED_AGAIN = 2


@dataclass
class _Call:
    """One conversation with the model: what it is about, and what it has cost so far."""

    owner: int
    aspects: tuple[str, ...]
    conversation: Conversation
    usage: Usage = field(default_factory=Usage)


_Answers = Generator[list[tuple[_Call, dict[str, AspectScore]]], None, None]


class PromptJudge(StreamingJudge):
    """Scores responses by asking a language model.

    A reply that cannot be read with certainty is asked for again, at most twice, with the fault
    pointed out; then the aspect is unscored and the raw reply is its explanation.
    """

    def __init__(
        self,
        source: Source,
        *,
        mode: str = "per-aspect",
        labels: str = "multiclass",
        dataset: str | None = None,
        logprobs: bool = False,
    ) -> None:
        """Take what answers, and how to ask it.

        Args:
            source: Where the replies come from.
            mode: "per-aspect" (a call for each aspect, as published) or "joint" (all in one).
            labels: "multiclass" (scores 1-5) or "binary" (1 for scores above 3, else 0).
            dataset: Whose worked example to show; None for that of each request's data set.
            logprobs: Whether the score is the expected value under the token probabilities.
        """
        self.scale = SCALES[labels]
        self.reads_rubrics = True
        self.independent_aspects = mode == "per-aspect"
        self._source = source
        self._joint = mode == "joint"
        self._mode = mode
        self._dataset = dataset
        self._logprobs = logprobs

    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        """Hand over each judgement when its last call is finished; see `StreamingJudge`."""
        calls = [
            _Call(owner, aspects, self._conversation(request, aspects))
            for owner, request in enumerate(requests)
            for aspects in self._split(request.aspects)
        ]
        scores: list[dict[str, AspectScore]] = [{} for _ in requests]
        usages = [Usage() for _ in requests]
        with closing(self._answers(calls)) as answers:
            for group in answers:
                complete = []
                for call, scored in group:
                    owner, aspects = call.owner, requests[call.owner].aspects
                    scores[owner].update(scored)
                    usages[owner] += call.usage
                    if len(scores[owner]) == len(aspects):
                        ordered = {key: scores[owner][key] for key in aspects}
                        complete.append((owner, Judgement(ordered, usages[owner])))
                yield complete

    def describe(self) -> Mapping[str, Any]:
        """Name the model and everything else that determines the scores."""
        return {
            **self._source.describe(),
            "mode": self._mode,
            "labels": self.scale.name,
            "dataset": self._dataset,
            "logprobs": self._logprobs,
            "prompts": prompts_fingerprint(),
        }

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _split(self, aspects: tuple[str, ...]) -> list[tuple[str, ...]]:
        return [aspects] if self._joint else [(key,) for key in aspects]

    def _conversation(self, request: JudgeRequest, aspects: tuple[str, ...]) -> Conversation:
        return conversation_for(request, aspects, self._joint, self._dataset or request.dataset)

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
    ) -> dict[str, AspectScore] | Conversation:
        """Read a reply; return what to ask next if it cannot be used."""
        if isinstance(reply, Refusal):
            flags = (PASSING,) if reply.passing else ()
            return {key: unscored(reply.reason, flags=flags) for key in call.aspects}
        try:
            verdicts = parse_reply(reply.text, call.aspects, self._joint)
        except ReplyFault as fault:
            if may_ask_again:
                return asked_again(
                    call.conversation, reply.text, str(fault), call.aspects, self._joint
                )
            reason = f"the reply cannot be used: {fault}"
            return {key: unscored(reason, explanation=reply.text) for key in call.aspects}
        return {key: self._score(reply, key, verdict) for key, verdict in verdicts.items()}

    def _score(self, reply: Reply, aspect: str, verdict: Verdict) -> AspectScore:
        if not self._logprobs:
            label = _label(verdict.score, self.scale == BINARY)
            return AspectScore(float(label), label, explanation=verdict.justification)
        tokens = reply.tokens or ()
        try:
            fives = score_probabilities(reply.text, tokens, aspect, verdict.score, self._joint)
        except ReplyFault as fault:
            return unscored(f"no expected score: {fault}", explanation=reply.text)
        probabilities = dict.fromkeys(self.scale.labels, 0.0)
        for score, probability in fives.items():
            probabilities[_label(score, self.scale == BINARY)] += probability
        expected = math.fsum(label * probability for label, probability in probabilities.items())
        return AspectScore(
            # Rounding must not carry the score over the end of the scale.
            score=min(max(expected, self.scale.minimum), self.scale.maximum),
            label=max(probabilities, key=lambda label: probabilities[label]),
            probabilities=probabilities,
            explanation=verdict.justification,
        )


def _label(score: int, binary: bool) -> int:
    return int(score > MULTICLASS.middle) if binary else score


def make_prompt_judge(model: str | None, **values: Any) -> PromptJudge:
    """Make the judges `prompt` and `deepseek`.

    Args:
        model: The model's name at an endpoint, or a hub id or folder.
        values: The other fields of `PromptOptions`.

    Raises:
        OptionError: If an option is missing or unusable, or no key is found.
        ModelError: If a local model cannot be loaded.
    """
    if not model:
        raise OptionError(
            "The prompt judge needs a model: prompt:model=NAME,base_url=URL for an endpoint, "
            "prompt:model=FOLDER for a language model on this machine."
        )
    options = PromptOptions(model=model, **values)
    return PromptJudge(
        _make_source(options),
        mode=options.mode,
        labels=options.labels,
        dataset=options.dataset,
        logprobs=options.logprobs,
    )


def _make_source(options: PromptOptions) -> Source:
    price = price_of(options.model, options.prices)
    if options.base_url is None and options.dry_run:
        raise OptionError("dry_run is for endpoints; a model on this machine costs no money.")
    if options.base_url is None:
        from inspector_plugin.prompting.local import LocalModel

        return LocalModel(options)
    if options.max_cost is not None and price is None:
        raise OptionError(
            f"max_cost needs the price of {options.model!r}, which is not in the table; give "
            "prices=FILE."
        )
    options = replace(options, base_url=check_base_url(options.base_url))
    if options.dry_run:
        return DryRun(options, price)
    from inspector_plugin.prompting.endpoint import Endpoint

    return Endpoint(options, read_key(options.key_env, options.key_file), price)

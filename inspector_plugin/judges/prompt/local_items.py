"""Answers to the items of a rubric, read off the next token of a language model on this machine.

Problem and response are read once; each item continues the prompt by itself, up to the place where
the model would write its answer. The answer's probability is that among yes and no, or among the
ratings.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from inspector_plugin.errors import ModelError
from inspector_plugin.judges.prompt.items import (
    ASK_FOR_RATING,
    ASK_FOR_WORD,
    NO,
    YES,
    material,
    statement,
    system_text,
)
from inspector_plugin.judges.prompt.messages import ItemValues, ReadItems, Refusal
from inspector_plugin.lm.batches import Breaker, Fault
from inspector_plugin.lm.branch_logits import Branch, BranchedPrompt, BranchReader
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.score_tokens import ScorePosition, find_score_position
from inspector_plugin.lm.templates import around_messages, has_template
from inspector_plugin.lm.tokens import Encoding, Segment, encode, token_ids
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.rubrics import RATINGS, RubricItem, rating_value
from inspector_plugin.schema.usage import Usage

_ANSWER = "Answer: "
# Responses whose logits are read before any of them is handed over.
_AT_ONCE = 16


class LocalItems:
    """Reads answers to items; see `ItemSource`."""

    def __init__(self, language_model: LanguageModel, batch_size: int | None) -> None:
        """Take the model, and the most prompts in a batch; None for as many as fit."""
        self._language_model = language_model
        self._reader = BranchReader(language_model, batch_size)
        self._positions: dict[bool, ScorePosition | str] = {}
        self._breaker = Breaker()

    def cannot_read(self, criterion: Criterion) -> str | None:
        """Say why the answers to a rubric's items cannot be read; None if they can."""
        instances = [item for instance in criterion.instances for item in instance.items]
        rated = {item.anchors is not None for item in (*criterion.items, *instances)}
        try:
            for each in rated:
                self._position(each)
        except ModelError as error:
            return str(error)
        return None

    def values(self, asked: Sequence[tuple[JudgeRequest, Criterion]]) -> ReadItems:
        """Read the answers; see `ItemSource.item_values`."""
        for start in range(0, len(asked), _AT_ONCE):
            some = asked[start : start + _AT_ONCE]
            read = self._read(some)
            for answer in read:
                if isinstance(answer, Fault):
                    self._breaker.note(answer)
                elif isinstance(answer, ItemValues):
                    self._breaker.note(None)
            yield [
                (
                    start + place,
                    Refusal(answer.reason, transient=answer.transient)
                    if isinstance(answer, Fault)
                    else answer,
                )
                for place, answer in enumerate(read)
            ]

    def _read(
        self, asked: Sequence[tuple[JudgeRequest, Criterion]]
    ) -> list[ItemValues | Refusal | Fault]:
        started = time.monotonic()
        prompts = [self._prompt(*pair) for pair in asked]
        fitting = [place for place, prompt in enumerate(prompts) if not isinstance(prompt, str)]
        faults: dict[int, Fault] = {}
        whole = [prompt for prompt in prompts if not isinstance(prompt, str)]
        logits = self._reader.read(whole, faults.__setitem__)
        seconds = (time.monotonic() - started) / len(asked)
        answers: list[ItemValues | Refusal | Fault] = [
            Refusal(prompt if isinstance(prompt, str) else "", transient=False)
            for prompt in prompts
        ]
        for number, place in enumerate(fitting):
            if number in faults:
                answers[place] = faults[number]
                continue
            items = asked[place][1].items
            prompt = whole[number]
            tokens = len(prompt.encoding.token_ids) + sum(
                len(branch.token_ids) for branch in prompt.branches
            )
            values = {
                item.key: _value(item, rows[-1])
                for item, rows in zip(items, logits[number], strict=True)
            }
            answers[place] = ItemValues(values, Usage(1, tokens, seconds=seconds))
        return answers

    def _prompt(self, request: JudgeRequest, criterion: Criterion) -> BranchedPrompt | str:
        """Lay out what is read; the reason where that is too long."""
        branches = tuple(self._branch(request, item) for item in criterion.items)
        longest = max(len(branch.token_ids) for branch in branches)
        before, between, _ = self._around
        segments = [
            Segment(before),
            Segment(system_text(joint=False, form=False), "system"),
            Segment(between),
            Segment(f"{material(request, criterion)}\n\n", "user"),
        ]
        room = self._language_model.max_tokens - longest
        templated = has_template(self._language_model)
        encoding: Encoding | None = None
        if room > 0:
            encoding = encode(self._language_model, segments, room, start_token=not templated)
        if encoding is None or encoding.truncated:
            return (
                f"the prompt and an item of up to {longest} tokens are longer than the model's "
                f"context of {self._language_model.max_tokens} tokens"
            )
        return BranchedPrompt(encoding, branches)

    def _branch(self, request: JudgeRequest, item: RubricItem) -> Branch:
        position = self._position(item.anchors is not None)
        ask = ASK_FOR_WORD if item.anchors is None else ASK_FOR_RATING
        text = "".join(statement(request, item)) + f"\n\n{ask}"
        own = token_ids(self._language_model, [Segment(text, "statement")])
        return Branch((*own, *position.token_ids), position.score_ids)

    def _position(self, rated: bool) -> ScorePosition:
        """Find the tokens of the answers.

        Raises:
            ModelError: If they are not single tokens.
        """
        if rated not in self._positions:
            try:
                self._positions[rated] = find_score_position(
                    self._language_model,
                    self._around[2] + _ANSWER,
                    RATINGS if rated else (YES, NO),
                )
            except ModelError as error:
                self._positions[rated] = str(error)
        position = self._positions[rated]
        if isinstance(position, str):
            raise ModelError(position)
        return position

    @cached_property
    def _around(self) -> tuple[str, str, str]:
        """What stands before the system's words, between these and the user's, and after these."""
        if not has_template(self._language_model):
            return "", "\n\n", "\n\n"
        system, user = {"role": "system", "content": ""}, {"role": "user", "content": ""}
        try:
            before, between, after = around_messages(self._language_model, [system, user])
        except ModelError:  # a template without a system role
            before, after = around_messages(self._language_model, [user])
            between = "\n\n"
        return before, between, after


def _value(item: RubricItem, logits: np.ndarray) -> float:
    """The probability of yes, or the value of the expected rating."""
    weights = np.exp(logits.astype(np.float64) - float(logits.max()))
    weights /= weights.sum()
    values = [1.0, 0.0] if item.anchors is None else [rating_value(each) for each in RATINGS]
    return float(np.clip(weights @ np.array(values), 0.0, 1.0))

"""Replies from a language model on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inspector_plugin.judges.prompt.local_items import LocalItems
from inspector_plugin.judges.prompt.messages import (
    Conversation,
    ReadItems,
    Refusal,
    Replies,
    Reply,
    Token,
)
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.judges.prompt.untrusted import without_key
from inspector_plugin.lm.batches import Breaker, Fault, parse_batch_size, run_in_batches
from inspector_plugin.lm.generation import (
    NOT_FINITE,
    Generation,
    candidate_ids,
    encode_chat,
    generate,
)
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.usage import Usage

# A small model asked for a list writes one line of it again and again.
_NO_REPEATS = 6


class LocalModel:
    """Generates replies greedily with transformers; a `Source`."""

    def __init__(self, options: PromptOptions) -> None:
        """Load the model.

        Raises:
            ModelError: If it cannot be loaded.
        """
        self._options = options
        self._batch_size = parse_batch_size(options.batch_size)
        self._language_model: LanguageModel = load_language_model(
            str(options.model), options.device, options.dtype
        )
        self._breaker = Breaker()
        self._candidates: dict[tuple[str, ...], Mapping[int, str]] = {}
        self._items = LocalItems(self._language_model, self._batch_size)

    def replies(self, conversations: Sequence[Conversation]) -> Replies:
        """Generate in batches of prompts of similar length; see `Source.replies`."""
        prompts: dict[int, list[int]] = {}
        room = self._language_model.max_tokens - self._options.reply_tokens
        for position, conversation in enumerate(conversations):
            chat = [message.to_json() for message in conversation.messages]
            prompt = encode_chat(self._language_model, chat)
            prompt += self._token_ids(conversation.beginning)
            if len(prompt) > room:
                reason = (
                    f"the prompt of {len(prompt)} tokens and a reply of "
                    f"{self._options.reply_tokens} are longer than the model's context"
                )
                yield [(position, Refusal(reason, transient=False))]
            else:
                prompts[position] = prompt
        positions = list(prompts)
        texts = {str(label) for each in conversations for label in each.labels}
        texts |= {form for each in conversations for word in each.words for form in _forms(word)}
        candidates = self._candidates_for(tuple(sorted(texts))) if self._options.logprobs else None
        lists = any(each.beginning for each in conversations)

        def run(places: list[int]) -> tuple[list[Generation], float]:
            started = time.monotonic()
            generations = generate(
                self._language_model,
                [prompts[positions[place]] for place in places],
                self._options.reply_tokens,
                candidates,
                no_repeats=_NO_REPEATS if lists else None,
            )
            return generations, (time.monotonic() - started) / len(places)

        lengths = [len(prompts[p]) + self._options.reply_tokens for p in positions]
        faults: dict[int, Fault] = {}
        batches = run_in_batches(
            self._language_model, lengths, self._batch_size, run, faults.__setitem__
        )
        for places, (generations, seconds) in batches:
            group: list[tuple[int, Reply | Refusal]] = []
            for place, generation in zip(places, generations, strict=True):
                reply = _reply(generation, len(prompts[positions[place]]), seconds)
                if not generation.is_finite:
                    faults[place] = NOT_FINITE
                    continue
                reply = replace(reply, text=conversations[positions[place]].beginning + reply.text)
                group.append((positions[place], reply))
            yield group
        for place in range(len(positions)):
            fault = faults.get(place)
            self._breaker.note(fault)
            if fault is not None:
                yield [(positions[place], Refusal(fault.reason, transient=fault.transient))]

    def _token_ids(self, text: str) -> list[int]:
        """Encode what an answer begins with."""
        tokenizer = self._language_model.tokenizer
        ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids if text else []
        return ids

    def item_values(self, asked: Sequence[tuple[JudgeRequest, Criterion]]) -> ReadItems:
        """Read answers to items without writing any; see `ItemSource.item_values`."""
        return self._items.values(asked)

    def cannot_read(self, criterion: Criterion) -> str | None:
        """Say why answers to items cannot be read; see `ItemSource.cannot_read`."""
        return self._items.cannot_read(criterion)

    def _candidates_for(self, texts: tuple[str, ...]) -> Mapping[int, str]:
        """Find the tokens that spell labels; that takes a look at the whole vocabulary."""
        if texts not in self._candidates:
            self._candidates[texts] = candidate_ids(self._language_model, texts)
        return self._candidates[texts]

    def describe(self) -> Mapping[str, Any]:
        """Name the model, its weights and its number format."""
        return {**self._language_model.describe(), "max_tokens": self._options.reply_tokens}

    def clean(self, text: str) -> str:
        """Replace unpaired surrogates; see `Source.clean`."""
        return without_key(text, None)

    def close(self) -> None:
        """Leave the model to whoever else uses it; memory is freed with the last user."""


def _forms(word: str) -> tuple[str, ...]:
    return word, word.capitalize(), word.upper()


def _reply(generation: Generation, prompt_tokens: int, seconds: float) -> Reply:
    usage = Usage(
        calls=1,
        prompt_tokens=prompt_tokens,
        completion_tokens=generation.completion_tokens,
        seconds=seconds,
    )
    tokens = generation.tokens
    return Reply(
        text=generation.text,
        usage=usage,
        tokens=None if tokens is None else tuple(Token(text, row) for text, row in tokens),
        cut=generation.cut,
    )

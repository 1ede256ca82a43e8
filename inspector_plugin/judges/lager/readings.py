"""Reading the score-token logits of requests, each prompt only once in a process.

Several `lager` judges in one run differ in how they aggregate, not in what the model computes: they
share what has been read.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.batches import Fault, OnFault
from inspector_plugin.lm.forward import FloatArray
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.score_logits import ScoreHead, read_last_position
from inspector_plugin.lm.score_tokens import ScorePosition
from inspector_plugin.lm.tokens import ALL, Encoding, Segment, encode

# About 20 MB for a model of 30 layers and a scale of 5.
_KEPT_PROMPTS = 16384

_Key = tuple[tuple[int, ...], tuple[int, ...]]
_kept: weakref.WeakKeyDictionary[LanguageModel, OrderedDict[_Key, FloatArray]]
_kept = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class ReadingPoint:
    """A prompt that ends where a score would follow, and the tokens that may come there."""

    encoding: Encoding
    score_ids: tuple[int, ...]


def reading_point(
    language_model: LanguageModel,
    segments: Sequence[Segment],
    position: ScorePosition,
    start_token: bool,
) -> ReadingPoint:
    """Put a prompt's segments and what follows them up to the score together.

    A prompt that is too long loses tokens out of the middle of its spans; see `encode`.

    Args:
        language_model: The model that reads it.
        segments: The prompt.
        position: What follows, up to the score.
        start_token: Whether the tokenizer's own start token comes first.
    """
    room = language_model.max_tokens - len(position.token_ids)
    encoding = encode(language_model, segments, room, start_token)
    return ReadingPoint(extended(encoding, position.token_ids), position.score_ids)


def extended(encoding: Encoding, token_ids: Sequence[int]) -> Encoding:
    """Append tokens to a prompt."""
    longer = (*encoding.token_ids, *token_ids)
    return Encoding(longer, {**encoding.spans, ALL: (0, len(longer))}, encoding.truncated)


class LogitReader:
    """Reads score-token logits from one model.

    Attributes:
        language_model: The model.
    """

    def __init__(self, language_model: LanguageModel, batch_size: int | None = None) -> None:
        """Take the model, and the most prompts in a batch; None for as many as fit."""
        self.language_model = language_model
        self._batch_size = batch_size
        self._heads: dict[tuple[int, ...], ScoreHead] = {}

    def head(self, score_ids: tuple[int, ...]) -> ScoreHead:
        """Return the unembedding of some score tokens.

        Raises:
            ModelError: If the model unembeds in a way that is not known.
        """
        if score_ids not in self._heads:
            self._heads[score_ids] = ScoreHead(self.language_model, score_ids)
        return self._heads[score_ids]

    def read(self, points: Sequence[ReadingPoint], on_fault: OnFault | None = None) -> FloatArray:
        """Read the logits, from memory where they have been read before.

        Args:
            points: At least one; all with the same number of score tokens.
            on_fault: Told the index of a point that could not be read, and why; its logits are NaN
                then. If None, that is an error.

        Returns:
            [points, 2, L + 1, K] float32: first without, then with the final norm on the states
            below the last.
        """
        kept = _kept.setdefault(self.language_model, OrderedDict())
        keys = [(point.encoding.token_ids, point.score_ids) for point in points]
        missing = {key: point for key, point in zip(keys, points, strict=True) if key not in kept}
        faults: dict[int, Fault] = {}
        hidden = read_last_position(
            self.language_model,
            [point.encoding for point in missing.values()],
            self._batch_size,
            None if on_fault is None else faults.__setitem__,
        )
        fresh = dict(zip(missing, self.unembed(hidden, list(missing.values())), strict=True))
        logits = np.stack([fresh[key] if key in fresh else kept[key] for key in keys])
        by_key = {key: faults.get(place) for place, key in enumerate(missing)}
        for index, key in enumerate(keys):
            fault = by_key.get(key)
            if fault is None and not np.isfinite(logits[index]).all():
                fault = Fault("the language model gave logits that are not finite")
            if fault is not None and on_fault is None:
                raise ModelError(f"Language model {self.language_model.name!r}: {fault.reason}.")
            if fault is not None and on_fault is not None:
                on_fault(index, fault)
        kept.update({key: found for key, found in fresh.items() if np.isfinite(found).all()})
        while len(kept) > _KEPT_PROMPTS:
            kept.popitem(last=False)
        return logits

    def unembed(self, hidden: FloatArray, points: Sequence[ReadingPoint]) -> list[FloatArray]:
        """Unembed the states of prompts, [points, L + 1, hidden], without and with the norm.

        Returns:
            For each point [2, L + 1, K].
        """
        logits: dict[int, FloatArray] = {}
        for score_ids in {point.score_ids for point in points}:
            rows = [i for i, point in enumerate(points) if point.score_ids == score_ids]
            head = self.head(score_ids)
            pairs = np.stack([head.logits(hidden[rows], norm) for norm in (False, True)], axis=1)
            logits.update(zip(rows, pairs, strict=True))
        return [logits[index] for index in range(len(points))]

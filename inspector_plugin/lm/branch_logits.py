"""Answer-token logits at the end of several continuations of one prompt, read in one pass.

A prompt with a problem and a response is read once; each question about it is a continuation that
sees nothing of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.batches import Fault, OnFault
from inspector_plugin.lm.forward import FloatArray, pooled_features, reads_branches
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import EMBEDDING, Feature, ForwardPlan
from inspector_plugin.lm.score_logits import ScoreHead
from inspector_plugin.lm.tokens import ALL, Encoding, with_suffixes

# Continuations of one pass hold no more tokens: the attention mask grows with their square.
_MOST_TOKENS = 1024
_NOT_FINITE = Fault("the language model gave logits that are not finite")


@dataclass(frozen=True)
class Branch:
    """A continuation of a prompt.

    Attributes:
        token_ids: Its tokens, at least one.
        answer_ids: The tokens that may come next, whose logits are read.
    """

    token_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]


@dataclass(frozen=True)
class BranchedPrompt:
    """A prompt without suffixes, and what it is continued by.

    Attributes:
        encoding: The prompt.
        branches: The continuations, at least one.
    """

    encoding: Encoding
    branches: tuple[Branch, ...]


class BranchReader:
    """Reads answer-token logits from one model."""

    def __init__(
        self,
        language_model: LanguageModel,
        batch_size: int | None = None,
        *,
        all_states: bool = False,
        final_norm: bool = False,
    ) -> None:
        """Take the model and what to read.

        Args:
            language_model: The model.
            batch_size: The most prompts in a batch; None for as many as fit.
            all_states: Whether to read the logits of all states from the embedding up, as LAGER
                does, in place of those of the last state, which are the model's own.
            final_norm: Whether to apply the final norm to the states below the last.
        """
        self._language_model = language_model
        self._batch_size = batch_size
        lowest = EMBEDDING if all_states else language_model.layers - 1
        self._layers = range(lowest, language_model.layers)
        self._final_norm = final_norm
        self._heads: dict[tuple[int, ...], ScoreHead] = {}

    def read(
        self, prompts: Sequence[BranchedPrompt], on_fault: OnFault | None = None
    ) -> list[list[FloatArray]]:
        """Read the logits.

        Args:
            prompts: The prompts.
            on_fault: Told the index of a prompt that could not be read, and why; its logits are
                NaN then. If None, that is an error.

        Returns:
            For each prompt and each of its branches [states, K] float32; the last state is the
            last of them, or the only one.

        Raises:
            ModelError: If the model unembeds in a way that is not known, or a prompt could not be
                read and nobody is to be told.
        """
        parts = [
            (index, part)
            for index, prompt in enumerate(prompts)
            for part in self._parts(prompt.branches)
        ]
        logits: list[list[FloatArray]] = [
            [
                np.full((len(self._layers), len(branch.answer_ids)), np.nan, dtype=np.float32)
                for branch in prompt.branches
            ]
            for prompt in prompts
        ]
        faults: dict[int, Fault] = {}
        # A forward pass keeps the same features of all of its prompts.
        for count in sorted({len(part) for _, part in parts}):
            group = [(index, part) for index, part in parts if len(part) == count]
            self._read_group(prompts, group, logits, faults)
        for index, fault in sorted(faults.items()):
            if on_fault is None:
                raise ModelError(f"Language model {self._language_model.name!r}: {fault.reason}.")
            on_fault(index, fault)
        return logits

    def _parts(self, branches: Sequence[Branch]) -> Iterator[list[int]]:
        """Share branches out among passes; a model that reads none side by side gets one each."""
        most = _MOST_TOKENS if len(branches) == 1 or reads_branches(self._language_model) else 0
        part: list[int] = []
        tokens = 0
        for place, branch in enumerate(branches):
            if part and tokens + len(branch.token_ids) > most:
                yield part
                part, tokens = [], 0
            part.append(place)
            tokens += len(branch.token_ids)
        yield part

    def _read_group(
        self,
        prompts: Sequence[BranchedPrompt],
        group: Sequence[tuple[int, list[int]]],
        logits: list[list[FloatArray]],
        faults: dict[int, Fault],
    ) -> None:
        """Read parts that have the same number of branches, and put their logits in place."""
        names = [f"branch {number}" for number in range(len(group[0][1]))]
        encodings = []
        for index, part in group:
            branches = [prompts[index].branches[place].token_ids for place in part]
            whole = with_suffixes(prompts[index].encoding, dict(zip(names, branches, strict=True)))
            if len(part) == 1:  # a single suffix is a part of the prompt
                spans = {**whole.spans, ALL: (0, len(whole.token_ids))}
                whole = Encoding(whole.token_ids, spans, whole.truncated)
            encodings.append(whole)
        features = {
            (number, layer): Feature(layer, name, "last")
            for number, name in enumerate(names)
            for layer in self._layers
        }
        plan = ForwardPlan(tuple(features.values()), self._batch_size)
        pooled = pooled_features(
            self._language_model,
            encodings,
            plan,
            on_fault=lambda row, fault: faults.__setitem__(group[row][0], fault),
        )
        for number in range(len(names)):
            states = [pooled[features[number, layer]] for layer in self._layers]
            hidden = np.stack(states, axis=1)  # [parts, states, hidden]
            wanted = [prompts[index].branches[part[number]].answer_ids for index, part in group]
            for answer_ids in set(wanted):
                rows = [row for row, ids in enumerate(wanted) if ids == answer_ids]
                read = self._head(answer_ids).logits(hidden[rows], self._final_norm)
                for row, found in zip(rows, read, strict=True):
                    index, part = group[row]
                    logits[index][part[number]] = found
                    if not np.isfinite(found).all():
                        faults.setdefault(index, _NOT_FINITE)

    def _head(self, answer_ids: tuple[int, ...]) -> ScoreHead:
        if answer_ids not in self._heads:
            self._heads[answer_ids] = ScoreHead(self._language_model, answer_ids)
        return self._heads[answer_ids]

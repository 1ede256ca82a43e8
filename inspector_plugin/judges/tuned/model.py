"""A classifier of responses: a base model, one vector for each text, a head for each criterion.

An encoder reads problem and response as a pair, and the mean over its tokens is the vector. A
causal language model reads one after the other, and the state of the last token is the vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inspector_plugin.errors import ModelError
from inspector_plugin.judges.tuned.heads import make_head
from inspector_plugin.judges.tuned.plan import ENCODER
from inspector_plugin.lm.encoders import Encoder, load_encoder, padding_id
from inspector_plugin.lm.forward import pad_right
from inspector_plugin.lm.loading import LanguageModel, load_own_copy
from inspector_plugin.lm.observing import decoder_of
from inspector_plugin.lm.tokens import Segment, encode

MOST_TOKENS = 512
_DROPOUT = 0.1


@dataclass(frozen=True)
class Text:
    """Problem and response as a base model reads them.

    Attributes:
        token_ids: The token ids.
        token_types: Which text each belongs to, for encoders that are told; else empty.
        response_tokens: How many tokens of the response are among them.
        truncated: Whether tokens were left out of the middle because there were too many.
    """

    token_ids: tuple[int, ...]
    token_types: tuple[int, ...]
    response_tokens: int
    truncated: bool


def load_base(kind: str, name: str, device: str | None, dtype: str | None) -> LanguageModel:
    """Load a base model that the caller may change: an encoder, or a causal language model.

    Raises:
        ModelError: If it cannot be loaded, or is not of that kind.
        OptionError: If the device or the dtype cannot be used.
    """
    if kind == ENCODER:
        return load_encoder(name, device, dtype)
    return load_own_copy(name, device, dtype)


def encode_text(
    base: LanguageModel, question: str, response: str, max_tokens: int | None = None
) -> Text:
    """Turn problem and response into token ids; special tokens in them are ordinary characters.

    Args:
        base: What reads them.
        question: The problem.
        response: The response.
        max_tokens: The most tokens to keep: texts that are too long lose their middle, the longer
            one first. None for the base's context length.

    Raises:
        ModelError: If there is no room for a token of each.
    """
    if isinstance(base, Encoder):
        pair = base.encode_pair(question, response, max_tokens)
        types = pair.token_types if base.takes_types else ()
        return Text(pair.token_ids, types, pair.lengths[1], pair.truncated)
    segments = [Segment(question, "question"), Segment("\n\n"), Segment(response, "response")]
    encoding = encode(base, segments, max_tokens)
    start, end = encoding.spans["response"]
    return Text(encoding.token_ids, (), end - start, encoding.truncated)


class TunedModel(nn.Module):
    """A base model and the heads of some criteria."""

    def __init__(
        self,
        base: LanguageModel,
        target: str,
        labels: Mapping[str, int],
        autocast: bool = False,
    ) -> None:
        """Put fresh heads on a base.

        Args:
            base: The base model, which becomes this model's own.
            target: "multiclass", "binary" or "ordinal".
            labels: Number of labels of each criterion, by key.
            autocast: Whether the base computes in bfloat16 whatever its weights are kept in.
        """
        super().__init__()
        self.base = base
        is_encoder = isinstance(base, Encoder)
        self.reader: nn.Module = base.model if is_encoder else decoder_of(base.model)
        self.keys = tuple(labels)
        self.dropout = nn.Dropout(_DROPOUT)
        self.heads = nn.ModuleList(
            make_head(target, width_of(base), count) for count in labels.values()
        ).to(base.device)
        self._autocast = autocast
        self._pad = padding_id(base.tokenizer, base.model.config)

    def forward(self, texts: Sequence[Text]) -> dict[str, Tensor]:
        """Return log-probabilities of the labels, [texts, labels] float32, by criterion."""
        vectors = self.dropout(self.vectors(texts))
        return {key: head(vectors) for key, head in zip(self.keys, self.heads, strict=True)}

    def vectors(self, texts: Sequence[Text]) -> Tensor:
        """Return one vector for each text, whatever its batch holds, [texts, width] float32."""
        device = self.base.device
        ids, mask = pad_right([text.token_ids for text in texts], device, self._pad)
        keywords: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if not isinstance(self.base, Encoder):
            states = self._states(**keywords, use_cache=False)
            return states[torch.arange(len(texts), device=device), mask.sum(dim=1) - 1]
        if self.base.takes_types:
            keywords["token_type_ids"], _ = pad_right([text.token_types for text in texts], device)
        states = self._states(**keywords)
        weights = mask[:, :, None].float()
        return (states * weights).sum(dim=1) / weights.sum(dim=1)

    def _states(self, **keywords: Any) -> Tensor:
        """The last hidden states, [texts, tokens, width] float32."""
        with torch.autocast(self.base.device.type, torch.bfloat16, enabled=self._autocast):
            states: Tensor = self.reader(**keywords).last_hidden_state
        return states.float()


def width_of(base: LanguageModel) -> int:
    """Width of a base's vectors.

    Raises:
        ModelError: If its configuration does not say.
    """
    width = getattr(base.model.config.get_text_config(), "hidden_size", None)
    if type(width) is not int:
        raise ModelError(f"{base.name!r}: its configuration names no hidden_size.")
    return width

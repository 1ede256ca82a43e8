"""Score-token logits of every layer, from one forward pass and a few rows of the unembedding.

States are counted as in Hugging Face's `output_hidden_states`: state 0 is what the first layer
reads, state l the output of the l-th layer, and the last state has the final norm applied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from inspector_plugin.lm.batches import OnFault
from inspector_plugin.lm.forward import FloatArray, pooled_features
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.number_format import DTYPES
from inspector_plugin.lm.observing import decoder_of
from inspector_plugin.lm.plan import EMBEDDING, Feature, ForwardPlan
from inspector_plugin.lm.tokens import ALL, Encoding
from inspector_plugin.lm.unembedding import scaled, unknown_head

# Relative to the largest logit; bfloat16 keeps 8 bits, which the sum over the hidden size spends.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}


def last_position_states(layers: int) -> tuple[Feature, ...]:
    """All states of a model of so many layers at a prompt's last token, from the embedding up."""
    return tuple(Feature(layer, ALL, "last") for layer in range(EMBEDDING, layers))


def read_last_position(
    language_model: LanguageModel,
    encodings: Sequence[Encoding],
    batch_size: int | None = None,
    on_fault: OnFault | None = None,
) -> FloatArray:
    """Read all states at each prompt's last token.

    Args:
        language_model: The model.
        encodings: The prompts.
        batch_size: The most prompts in a batch; None for as many as fit.
        on_fault: As of `pooled_features`.

    Returns:
        [prompts, L + 1, hidden] float32.
    """
    features = last_position_states(language_model.layers)
    plan = ForwardPlan(features, batch_size)
    pooled = pooled_features(language_model, encodings, plan, on_fault=on_fault)
    return np.stack([pooled[feature] for feature in features], axis=1)


class ScoreHead:
    """The rows of a model's unembedding that belong to the score tokens.

    Bias, logit scaling and soft cap are those of the model, on every layer alike.
    """

    def __init__(self, language_model: LanguageModel, score_ids: Sequence[int]) -> None:
        """Cut the rows out, and check that they give the model's own logits.

        Args:
            language_model: The model.
            score_ids: The score tokens, K of them.

        Raises:
            ModelError: If the model unembeds in a way that is not known here.
        """
        self._config = language_model.model.config.get_text_config()
        head = language_model.model.get_output_embeddings()
        rows = torch.tensor(score_ids, device=head.weight.device)
        self._weight: Tensor = head.weight[rows].float()
        bias = getattr(head, "bias", None)
        self._bias: Tensor | None = None if bias is None else bias[rows].float()
        self._norm = _final_norm(decoder_of(language_model.model))
        self._dtype = DTYPES[language_model.dtype]
        _require_own_logits(self, language_model, score_ids)

    def logits(self, hidden: FloatArray, final_norm: bool) -> FloatArray:
        """Unembed hidden states.

        Args:
            hidden: All states from the embedding up, [prompts, L + 1, hidden].
            final_norm: Whether to apply the final norm to the states below the last, which has
                it already.

        Returns:
            [prompts, L + 1, K] float32.
        """
        with torch.inference_mode():
            states = torch.from_numpy(hidden).to(self._weight.device)
            if final_norm:
                lower = self._norm(states[:, :-1].to(self._dtype)).float()
                states = torch.cat([lower, states[:, -1:]], dim=1)
            logits = scaled(nn.functional.linear(states, self._weight, self._bias), self._config)
            array: FloatArray = logits.cpu().numpy()
            return array


def score_logits(
    language_model: LanguageModel,
    encodings: Sequence[Encoding],
    score_ids: Sequence[int],
    final_norm: bool,
    batch_size: int | None = None,
) -> FloatArray:
    """Read the score-token logits of every state where the next token would be produced.

    Args:
        language_model: The model.
        encodings: The prompts, each ending where the score would follow.
        score_ids: The score tokens, K of them.
        final_norm: Whether to apply the final norm to the states below the last.
        batch_size: The most prompts in a batch; None for as many as fit.

    Returns:
        [prompts, L + 1, K] float32.
    """
    head = ScoreHead(language_model, score_ids)
    return head.logits(read_last_position(language_model, encodings, batch_size), final_norm)


def _final_norm(decoder: nn.Module) -> nn.Module:
    """The norm after the last layer; the identity for a model that has none."""
    norms = [
        module
        for name, module in decoder.named_children()
        if "norm" in name or name.startswith("ln_")
    ]
    # A norm of the embeddings, where there is one, comes before the layers.
    return norms[-1] if norms else nn.Identity()


def _require_own_logits(
    head: ScoreHead, language_model: LanguageModel, score_ids: Sequence[int]
) -> None:
    """Compare with the logits of the model itself on a short prompt, before any score is read."""
    prompt = Encoding(tuple(score_ids), {ALL: (0, len(score_ids))}, truncated=False)
    ours = head.logits(read_last_position(language_model, [prompt]), False)[0, -1]
    token_ids = torch.tensor([prompt.token_ids], device=language_model.device)
    with torch.inference_mode():
        vocabulary = language_model.model(token_ids).logits[0, -1].float().cpu().numpy()
    theirs = vocabulary[list(score_ids)]
    tolerance = _TOLERANCE[language_model.dtype] * float(np.abs(vocabulary).max())
    if not np.allclose(ours, theirs, rtol=0, atol=tolerance):
        raise unknown_head(language_model)

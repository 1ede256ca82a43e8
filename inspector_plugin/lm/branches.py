"""Several suffixes of one prompt in one pass, none of which sees another.

The suffixes stand one after the other. What a token may attend to, and its position, are those that
it would have if its own suffix alone followed the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.tokens import ALL, Encoding

_FULL, _SLIDING = "full_attention", "sliding_attention"
_PADDING = -1


def have_branches(encodings: Sequence[Encoding]) -> bool:
    """Whether any prompt has more suffixes than one: a single one is a part of the prompt."""
    return any(len(encoding.suffixes) > 1 for encoding in encodings)


def branch_keywords(
    language_model: LanguageModel, encodings: Sequence[Encoding], longest: int
) -> dict[str, Any]:
    """Return what the decoder needs to read prompts with several suffixes.

    Args:
        language_model: The model.
        encodings: The prompts of a batch.
        longest: Tokens in a row of the batch, padding included.

    Raises:
        ModelError: If the model's attention is of a kind that is not known here.
    """
    branches = torch.full((len(encodings), longest), _PADDING)
    positions = torch.zeros((len(encodings), longest), dtype=torch.long)
    for row, encoding in enumerate(encodings):
        own_branches, own_positions = _branches_and_positions(encoding)
        branches[row, : len(own_branches)] = own_branches
        positions[row, : len(own_positions)] = own_positions
    branches, positions = branches.to(language_model.device), positions.to(language_model.device)
    masks = {
        kind: _mask(branches, positions, window, language_model.model.dtype)
        for kind, window in _windows(language_model).items()
    }
    mask = masks if _SLIDING in masks else masks[_FULL]
    return {"attention_mask": mask, "position_ids": positions, "use_cache": False}


def _branches_and_positions(encoding: Encoding) -> tuple[Tensor, Tensor]:
    """For each token the number of its suffix, 0 for the prompt itself, and its position."""
    start, end = encoding.spans[ALL]
    branches, positions = [torch.zeros(end - start)], [torch.arange(end - start)]
    for number, name in enumerate(encoding.suffixes, start=1):
        length = encoding.spans[name][1] - encoding.spans[name][0]
        branches.append(torch.full((length,), number))
        positions.append(torch.arange(end, end + length))
    return torch.cat(branches).long(), torch.cat(positions)


def _mask(branches: Tensor, positions: Tensor, window: int | None, dtype: torch.dtype) -> Tensor:
    """What is added to the attention scores, [batch, 1, tokens, tokens]."""
    longest = branches.shape[1]
    order = torch.arange(longest, device=branches.device)
    earlier = order[None, :] <= order[:, None]
    theirs, own = branches[:, None, :], branches[:, :, None]
    allowed = earlier & ((theirs == 0) | (theirs == own))
    if window is not None:
        allowed &= positions[:, :, None] - positions[:, None, :] < window
    mask = torch.zeros(allowed.shape, dtype=dtype, device=branches.device)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min)[:, None]


def _windows(language_model: LanguageModel) -> dict[str, int | None]:
    """The kinds of attention that the layers have, and how far each looks back."""
    config = language_model.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    if kinds - {_FULL, _SLIDING}:
        raise ModelError(
            f"Language model {language_model.name!r} has layers of kinds {sorted(kinds)}, on which "
            "suffixes cannot be read side by side; use probes of another prompt layout."
        )
    if not kinds:
        return {_FULL: window}
    return {_FULL: None, _SLIDING: window} if _SLIDING in kinds else {_FULL: None}

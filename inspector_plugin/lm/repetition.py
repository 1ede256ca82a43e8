"""Keeping a small language model from writing one line again and again."""

from __future__ import annotations

import torch
from transformers import LogitsProcessor


class NoRepeats(LogitsProcessor):
    """Forbids to write any run of tokens twice in one text; what the prompt holds may be quoted."""

    def __init__(self, length: int, prompt_width: int) -> None:
        """Take the rule.

        Args:
            length: How long a run of tokens must not occur twice, at least 2.
            prompt_width: How many tokens come before what is written.
        """
        self._length = length
        self._width = prompt_width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Take the tokens that would finish such a run out of what can come next."""
        written = input_ids[:, self._width :].tolist()
        known = self._length - 1
        for row, tokens in enumerate(written):
            end = tokens[len(tokens) - known :]
            followed = [
                tokens[start + known]
                for start in range(len(tokens) - known)
                if tokens[start : start + known] == end
            ]
            if followed:
                scores[row, followed] = -torch.inf
        return scores

"""The forward pass: a few vectors of each of many prompts, nothing else kept.

Prompts of similar length are run together. What they have in common is read once: a beginning, by
its keys and values; a whole prompt with several suffixes, by attention that keeps the suffixes
apart. Vectors are pooled layer by layer while the model runs. The layers above the highest one
asked for are not run, and neither is the language-modelling head.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.batches import Fault, OnFault, run_in_batches
from inspector_plugin.lm.branches import branch_keywords, have_branches
from inspector_plugin.lm.likelihoods import require_own_logits, token_likelihoods
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.observing import decoder_of, run_decoder
from inspector_plugin.lm.plan import TOKEN_LIKELIHOODS, Feature, ForwardPlan
from inspector_plugin.lm.pooling import pool
from inspector_plugin.lm.prefix import Prefix, by_beginning, read_prefix
from inspector_plugin.lm.tokens import ALL, Encoding

FloatArray = npt.NDArray[np.float32]
Pooled = Mapping[Feature, FloatArray]

_branching: weakref.WeakSet[LanguageModel] = weakref.WeakSet()


def pooled_features(
    language_model: LanguageModel,
    encodings: Sequence[Encoding],
    plan: ForwardPlan,
    on_batch: Callable[[list[int], Pooled], None] | None = None,
    on_fault: OnFault | None = None,
) -> dict[Feature, FloatArray]:
    """Run prompts through the model and keep what the plan asks for.

    Args:
        language_model: The model.
        encodings: The prompts.
        plan: What to keep of each, and how to run them.
        on_batch: Called after each batch with the indices of its prompts and their features.
        on_fault: Told the index of a prompt that does not fit into memory, or whose hidden states
            are not finite, and why; its features are NaN then. If None, that is an error.

    Returns:
        For each feature [prompts, width] float32, in the order of `encodings`.

    Raises:
        ModelError: If the model has no layer of that number; if likelihoods are asked for and its
            logits are made in a way that is not known here; or if a value is not finite or a
            prompt does not fit into memory, and nobody is to be told.
    """
    plan.require_layers(language_model)
    if plan.has_likelihoods:
        require_own_logits(language_model)
    result = {
        feature: np.full((len(encodings), feature.width(language_model)), np.nan, dtype=np.float32)
        for feature in plan.features
    }
    for beginning, group in by_beginning(encodings, plan).items():
        prefix = read_prefix(language_model, beginning, plan)
        read = prefix.length if prefix else 0

        def run(
            places: list[int], group: list[int] = group, prefix: Prefix | None = prefix
        ) -> dict[Feature, FloatArray]:
            batch = [encodings[group[place]] for place in places]
            return _run_batch(language_model, batch, plan, prefix)

        def report(place: int, fault: Fault, group: list[int] = group) -> None:
            assert on_fault is not None
            on_fault(group[place], fault)

        lengths = [len(encodings[index].token_ids) - read for index in group]
        batches = run_in_batches(
            language_model, lengths, plan.batch_size, run, report if on_fault else None
        )
        for places, pooled in batches:
            indices = [group[place] for place in places]
            _report_not_finite(language_model, pooled, indices, on_fault)
            for feature, rows in pooled.items():
                result[feature][indices] = rows
            if on_batch is not None:
                on_batch(indices, pooled)
    return result


def _run_batch(
    language_model: LanguageModel,
    batch: Sequence[Encoding],
    plan: ForwardPlan,
    prefix: Prefix | None,
) -> dict[Feature, FloatArray]:
    """Run one batch, each prompt without the prefix that it begins with."""
    skipped = prefix.length if prefix else 0
    token_ids, attention_mask = pad_right(
        [encoding.token_ids[skipped:] for encoding in batch], language_model.device
    )
    # Padding is on the right, where causal attention never looks: without a mask it is faster.
    keywords: dict[str, Any] = {"use_cache": False}
    if have_branches(batch):
        _require_branches(language_model)
        keywords = branch_keywords(language_model, batch, token_ids.shape[1])
    elif prefix is not None:
        keywords = prefix.keywords(decoder_of(language_model.model), attention_mask)
    pooled: dict[Feature, Tensor] = {}

    def receive(layer: int, attention: bool, states: Tensor) -> None:
        before = prefix.states.get((layer, attention)) if prefix else None
        for feature in plan.of(layer, attention):
            spans = [encoding.spans[feature.span] for encoding in batch]
            own = [(start - skipped, end - skipped) for start, end in spans]
            if feature.pooling == TOKEN_LIKELIHOODS:
                ids = [encoding.token_ids for encoding in batch]
                pooled[feature] = token_likelihoods(language_model, states, ids, own)
            else:
                pooled[feature] = pool(states, own, feature.pooling, before)

    run_decoder(language_model, token_ids, keywords, plan, receive)
    return {feature: pooled[feature].cpu().numpy() for feature in plan.features}


def _report_not_finite(
    language_model: LanguageModel,
    pooled: Pooled,
    indices: Sequence[int],
    on_fault: OnFault | None,
) -> None:
    """Report the prompts of a batch whose hidden states are not finite."""
    reason = (
        f"language model {language_model.name!r} gave hidden states that are not finite in "
        f"{language_model.dtype}"
    )
    finite = np.ones(len(indices), dtype=bool)
    for rows in pooled.values():
        finite &= np.isfinite(rows).all(axis=1)
    if on_fault is None and not finite.all():
        raise ModelError(f"{reason[0].upper()}{reason[1:]}; try another dtype.")
    for index in np.array(indices)[~finite].tolist():
        assert on_fault is not None
        on_fault(index, Fault(reason))


def pad_right(
    prompts: Sequence[Sequence[int]], device: torch.device, filler: int = 0
) -> tuple[Tensor, Tensor]:
    """Put prompts into one tensor, each from the left; a causal model does not look at the filler.

    Args:
        prompts: Token ids.
        device: Where the tensors go.
        filler: The token that fills short prompts up.

    Returns:
        Token ids and attention mask, [prompts, longest] int64.
    """
    longest = max(map(len, prompts))
    token_ids = torch.full((len(prompts), longest), filler, dtype=torch.long)
    attention_mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        token_ids[row, : len(prompt)] = torch.tensor(prompt)
        attention_mask[row, : len(prompt)] = 1
    return token_ids.to(device), attention_mask.to(device)


def reads_branches(language_model: LanguageModel) -> bool:
    """Whether a model can read several suffixes of one prompt in one pass."""
    try:
        _require_branches(language_model)
    except ModelError:
        return False
    return True


def _require_branches(language_model: LanguageModel) -> None:
    """Compare two suffixes read side by side with each read alone, once for each model.

    Raises:
        ModelError: If they differ: the model does not heed the mask or the positions it is given.
    """
    if language_model in _branching:
        return
    _branching.add(language_model)
    spans = {ALL: (0, 6), "one": (6, 9), "two": (9, 12)}
    together = Encoding((*range(3, 12), 3, 4, 5), spans, False, ("one", "two"))
    alone = Encoding((*range(3, 9), 3, 4, 5), {ALL: (0, 6), "two": (6, 9)}, False, ("two",))
    feature = Feature(language_model.layers - 1, "two", "mean")
    plan = ForwardPlan((feature,), reuse_prefix=False)
    found, expected = (
        pooled_features(language_model, [each], plan)[feature] for each in (together, alone)
    )
    if not np.allclose(found, expected, rtol=0, atol=0.05 * float(np.abs(expected).max())):
        _branching.discard(language_model)
        raise ModelError(
            f"Language model {language_model.name!r} ({type(language_model.model).__name__}) does "
            "not read suffixes side by side; use probes of another prompt layout."
        )

"""Batches: within their budget, and smaller ones where memory does not suffice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_forward import make_encodings, make_model

from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.lm.batches import parse_batch_size, run_in_batches, token_budget_batches
from inspector_plugin.lm.forward import pooled_features
from inspector_plugin.lm.plan import Feature, ForwardPlan

PLAN = ForwardPlan((Feature(2, "response", "mean"),))


@pytest.mark.parametrize("budget", [1, 20, 64, 1000])
def test_batches_hold_every_prompt_once_within_the_budget(budget: int) -> None:
    lengths = [int(n) for n in np.random.default_rng(1).integers(1, 50, 40)]
    batches = token_budget_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(40))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_a_batch_size_limits_the_prompts_longest_first() -> None:
    ran = [batch for batch, _ in run_in_batches(make_model("llama"), [3, 9, 5, 7, 1], 2, list)]
    assert ran == [[1, 3], [2, 0], [4]]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate"
                     " memory: you tried to allocate 99999999999 bytes."),
        MemoryError(),
    ],
)  # fmt: skip
def test_running_out_of_memory_halves_the_batch_and_loses_nothing(error: Exception) -> None:
    lm, encodings = make_model("llama"), make_encodings()
    expected = pooled_features(lm, encodings, PLAN)
    fits = 24
    tried: list[int] = []

    def limited(module: Any, arguments: Any, output: Any) -> None:
        tried.append(arguments[0].numel())
        if tried[-1] > fits:
            raise error

    lm.model.get_input_embeddings().register_forward_hook(limited)
    handed_on: list[int] = []
    found = pooled_features(lm, encodings, PLAN, lambda indices, _: handed_on.extend(indices))
    for feature in PLAN.features:
        np.testing.assert_allclose(found[feature], expected[feature], atol=1e-5)
    assert sorted(handed_on) == list(range(len(encodings)))
    assert tried[0] == 5 * 23
    # What fits is remembered: the second time nothing fails.
    tried.clear()
    pooled_features(lm, encodings, PLAN)
    assert max(tried) <= fits


def test_what_does_not_fit_at_all_is_an_error() -> None:
    def fail(batch: list[int]) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(ModelError, match="A prompt of 9 tokens does not fit"):
        list(run_in_batches(make_model("llama"), [3, 9], None, fail))
    with pytest.raises(ModelError, match="A prompt of 9 tokens does not fit"):
        list(run_in_batches(make_model("llama"), [3, 9], 2, fail))


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def fail(batch: list[int]) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(run_in_batches(make_model("llama"), [3, 9], None, fail))


def test_batch_sizes_as_users_write_them() -> None:
    assert parse_batch_size("auto") is None
    assert parse_batch_size("7") == parse_batch_size(7) == 7
    for bad in ("0", "-1", "many", "1.5", 0):
        with pytest.raises(OptionError, match="auto or a whole number"):
            parse_batch_size(bad)

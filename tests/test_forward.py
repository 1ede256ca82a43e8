"""Pooled hidden states: equal to Hugging Face's, whatever the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.forward import (
    HiddenState,
    decoder_layers,
    decoder_of,
    pooled_hidden_states,
    token_budget_batches,
)
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.pooling import POOLINGS, pool
from inspector_plugin.lm.tokens import Encoding

SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", SMALL),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", SMALL),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {**SMALL, "sliding_window": 5}),
    "gpt2": (
        "GPT2Config",
        "GPT2LMHeadModel",
        {"vocab_size": 97, "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64},
    ),
}


def make_model(architecture: str) -> LanguageModel:
    config_name, model_name, settings = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    config = getattr(transformers, config_name)(**settings)
    model = getattr(transformers, model_name)(config).eval()
    return LanguageModel(architecture, model, None, "", 64, torch.device("cpu"), "float32")


def make_encodings() -> list[Encoding]:
    random = np.random.default_rng(0)
    encodings = []
    for length in (9, 23, 4, 17, 12):
        spans = {"all": (0, length), "response": (length // 3, length - 1)}
        ids = tuple(int(token) for token in random.integers(0, 97, length))
        encodings.append(Encoding(ids, spans, truncated=False))
    return encodings


def every_state(layers: int) -> list[HiddenState]:
    spans = ("all", "response")
    return [HiddenState(layer, s, p) for layer in range(layers) for s in spans for p in POOLINGS]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_equal_hugging_faces_for_every_layer_and_pooling(architecture: str) -> None:
    lm, encodings, wanted = make_model(architecture), make_encodings(), every_state(4)
    found = pooled_hidden_states(lm, encodings, wanted, batch_tokens=60)
    for row, encoding in zip(found, encodings, strict=True):
        ids = torch.tensor([encoding.token_ids])
        with torch.no_grad():
            hidden = lm.model(ids, output_hidden_states=True).hidden_states
        for features, state in zip(row, wanted, strict=True):
            start, end = encoding.spans[state.span]
            span = hidden[state.layer + 1][0, start:end].numpy()
            reference = {
                "mean": span.mean(0),
                "last": span[-1],
                "min": span.min(0),
                "max": span.max(0),
            }[state.pooling]
            np.testing.assert_allclose(features, reference, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_of_one_equals_a_batch_of_many(architecture: str) -> None:
    lm, encodings, wanted = make_model(architecture), make_encodings(), every_state(4)
    together = pooled_hidden_states(lm, encodings, wanted, batch_tokens=10_000)
    alone = pooled_hidden_states(lm, encodings, wanted, batch_tokens=1)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_layers_above_the_highest_wanted_are_not_run() -> None:
    lm = make_model("llama")
    ran: list[int] = []
    for index, layer in enumerate(decoder_layers(decoder_of(lm.model))):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    encodings = make_encodings()
    truncated = pooled_hidden_states(lm, encodings, [HiddenState(1, "all", "mean")], 10_000)
    assert ran == [0, 1]
    whole = pooled_hidden_states(lm, encodings, every_state(4), 10_000)
    index = every_state(4).index(HiddenState(1, "all", "mean"))
    np.testing.assert_array_equal(truncated[:, 0], whole[:, index])


def test_the_language_modelling_head_is_not_run() -> None:
    lm = make_model("llama")
    lm.model.lm_head.register_forward_hook(lambda *_: pytest.fail("the head was run"))
    pooled_hidden_states(lm, make_encodings(), every_state(4))


def test_hooks_are_removed_even_if_the_model_fails() -> None:
    lm = make_model("llama")
    bad = Encoding((1_000_000,), {"all": (0, 1)}, truncated=False)
    with pytest.raises(IndexError):
        pooled_hidden_states(lm, [bad], [HiddenState(0, "all", "mean")])
    assert not any(layer._forward_hooks for layer in decoder_layers(decoder_of(lm.model)))


def test_every_batch_is_handed_on_once_with_its_rows() -> None:
    lm, encodings = make_model("llama"), make_encodings()
    wanted = [HiddenState(2, "response", "max")]
    seen: dict[int, Any] = {}
    result = pooled_hidden_states(
        lm, encodings, wanted, 30, lambda i, rows: seen.update(zip(i, rows, strict=True))
    )
    assert sorted(seen) == list(range(len(encodings)))
    for index, row in seen.items():
        np.testing.assert_array_equal(row, result[index])


def test_no_prompts_give_no_rows() -> None:
    result = pooled_hidden_states(make_model("llama"), [], [HiddenState(0, "all", "mean")])
    assert result.shape == (0, 1, 32)


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="layers 0-3, not 4"):
        pooled_hidden_states(make_model("llama"), [], [HiddenState(4, "all", "mean")])


def test_states_that_are_not_finite_are_an_error(tiny_lm: Path) -> None:
    lm = load_language_model(str(tiny_lm))
    weights = lm.model.get_input_embeddings().weight.data
    encoding = Encoding((3, 4), {"all": (0, 2)}, truncated=False)
    kept = weights[3].clone()
    weights[3] = float("nan")
    try:
        with pytest.raises(ModelError, match="not finite"):
            pooled_hidden_states(lm, [encoding], [HiddenState(0, "all", "mean")])
    finally:
        weights[3] = kept


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [100.0, 100.0]]])
    expected = {"mean": [2.0, 5.0], "last": [3.0, 2.0], "min": [1.0, 2.0], "max": [3.0, 8.0]}
    for pooling, values in expected.items():
        assert pool(hidden, [(0, 2)], pooling).tolist() == [values]
    with pytest.raises(ValueError, match="unknown pooling"):
        pool(hidden, [(0, 2)], "median")
    with pytest.raises(ValueError, match="empty"):
        pool(hidden, [(1, 1)], "mean")


@pytest.mark.parametrize("budget", [1, 20, 64, 1000])
def test_batches_hold_every_prompt_once_within_the_budget(budget: int) -> None:
    lengths = [int(n) for n in np.random.default_rng(1).integers(1, 50, 40)]
    batches = token_budget_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(40))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)

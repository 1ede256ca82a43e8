"""Pooled features: equal to Hugging Face's, whatever the batch and whatever prompts share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.forward import FloatArray, Pooled, pooled_features
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.observing import decoder_layers, decoder_of
from inspector_plugin.lm.plan import ATTENTION_ENTROPY, Feature, ForwardPlan
from inspector_plugin.lm.pooling import POOLINGS, attention_entropy, pool
from inspector_plugin.lm.tokens import Encoding

SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 96,
}
# A window of 5 tokens is shorter than every prompt here but one.
SLIDING = {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"] * 2}
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", SMALL),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", SMALL),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {**SMALL, **SLIDING}),
    "mistral": ("MistralConfig", "MistralForCausalLM", {**SMALL, "sliding_window": 5}),
    "gpt2": (
        "GPT2Config",
        "GPT2LMHeadModel",
        {"vocab_size": 97, "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 96},
    ),
}
PREFIX = 20


def make_model(architecture: str) -> LanguageModel:
    config_name, model_name, settings = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    config = getattr(transformers, config_name)(**settings)
    model = getattr(transformers, model_name)(config).eval()
    return LanguageModel(architecture, model, None, "", 96, torch.device("cpu"), "float32")


def make_encodings(prefix: int = 0) -> list[Encoding]:
    """Prompts of several lengths, all beginning with the same tokens if there is a prefix."""
    random = np.random.default_rng(0)
    encodings = []
    for own in (9, 23, 4, 17, 12):
        length = prefix + own
        spans = {
            "all": (0, length),
            "question": (prefix, prefix + own // 3),
            "response": (prefix + own // 3, length - 1),
        }
        ids = (*range(1, prefix + 1), *(int(token) for token in random.integers(0, 97, own)))
        encodings.append(Encoding(ids, spans, truncated=False))
    return encodings


def with_suffixes(encoding: Encoding, suffixes: dict[str, Sequence[int]]) -> Encoding:
    ids, spans = list(encoding.token_ids), dict(encoding.spans)
    for name, suffix in suffixes.items():
        spans[name] = (len(ids), len(ids) + len(suffix))
        ids.extend(suffix)
    return Encoding(tuple(ids), spans, False, tuple(suffixes))


def every_feature(layers: int = 4, spans: Sequence[str] = ("all", "response")) -> ForwardPlan:
    poolings = (*POOLINGS, ATTENTION_ENTROPY)
    return ForwardPlan(
        tuple(Feature(layer, s, p) for layer in range(layers) for s in spans for p in poolings)
    )


def hugging_faces(
    lm: LanguageModel, ids: Sequence[int], span: tuple[int, int]
) -> Callable[[Feature], FloatArray]:
    """Features by Hugging Face's own hidden states and attention weights, one prompt at a time."""
    usual = lm.model.config._attn_implementation
    lm.model.set_attn_implementation("eager")
    with torch.no_grad():
        output = lm.model(
            torch.tensor([ids]), output_hidden_states=True, output_attentions=True, use_cache=False
        )
    lm.model.set_attn_implementation(usual)

    def feature(wanted: Feature) -> FloatArray:
        inside = slice(*span)
        hidden = output.hidden_states[wanted.layer + 1][0, inside].numpy()
        weights = output.attentions[wanted.layer][0, :, inside].numpy()
        logs = np.log(np.where(weights > 0, weights, 1))
        result: FloatArray = {
            "mean": hidden.mean(0),
            "last": hidden[-1],
            "min": hidden.min(0),
            "max": hidden.max(0),
            ATTENTION_ENTROPY: -(weights * logs).sum(-1).mean(-1),
        }[wanted.pooling]
        return result

    return feature


@pytest.mark.parametrize("prefix", [0, PREFIX])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_features_equal_hugging_faces_for_every_layer_and_pooling(
    architecture: str, prefix: int
) -> None:
    lm, encodings, plan = make_model(architecture), make_encodings(prefix), every_feature()
    found = pooled_features(lm, encodings, plan)
    for row, encoding in enumerate(encodings):
        for span in ("all", "response"):
            expected = hugging_faces(lm, encoding.token_ids, encoding.spans[span])
            for feature in plan.features:
                if feature.span == span:
                    np.testing.assert_allclose(found[feature][row], expected(feature), atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_suffixes_side_by_side_equal_each_suffix_alone(architecture: str) -> None:
    lm, plan = make_model(architecture), every_feature(spans=("all", "response", "x", "y", "z"))
    suffixes = {"x": (7, 8, 9, 10, 11, 12, 13), "y": (7, 20), "z": (30, 31, 32)}
    encodings = [with_suffixes(encoding, suffixes) for encoding in make_encodings()]
    found = pooled_features(lm, encodings, plan)
    for row, encoding in enumerate(make_encodings()):
        for name, suffix in suffixes.items():
            alone = with_suffixes(encoding, {name: suffix})
            for span in ("all", "response", name):
                expected = hugging_faces(lm, alone.token_ids, alone.spans[span])
                for feature in plan.features:
                    if feature.span == span:
                        np.testing.assert_allclose(
                            found[feature][row], expected(feature), atol=1e-4
                        )


@pytest.mark.parametrize("prefix", [0, PREFIX])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_of_one_equals_a_batch_of_many(architecture: str, prefix: int) -> None:
    lm, encodings, plan = make_model(architecture), make_encodings(prefix), every_feature()
    together = pooled_features(lm, encodings, plan)
    alone = pooled_features(lm, encodings, ForwardPlan(plan.features, batch_size=1))
    for feature in plan.features:
        np.testing.assert_allclose(together[feature], alone[feature], atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_bfloat16_gives_nearly_the_same_features(architecture: str) -> None:
    """As on CUDA: pooled in float32, prefixes and suffixes included."""
    plan = every_feature(spans=("all", "response"))
    suffixes = {"x": (7, 8, 9), "y": (7, 20)}
    prompts = make_encodings(PREFIX) + [with_suffixes(e, suffixes) for e in make_encodings()]
    exact, rounded = make_model(architecture), make_model(architecture)
    rounded.model.to(torch.bfloat16)
    expected, found = (pooled_features(lm, prompts, plan) for lm in (exact, rounded))
    for feature in plan.features:
        assert found[feature].dtype == np.float32
        scale = float(np.abs(expected[feature]).max())
        np.testing.assert_allclose(found[feature], expected[feature], atol=0.05 * scale)


def tokens_read(lm: LanguageModel) -> list[int]:
    """Collects the number of tokens of each batch that the model reads from now on."""
    read: list[int] = []
    embeddings = lm.model.get_input_embeddings()
    embeddings.register_forward_hook(lambda module, given, output: read.append(given[0].numel()))
    return read


def test_a_common_beginning_is_read_once() -> None:
    lm, encodings = make_model("llama"), make_encodings(PREFIX)
    feature = Feature(2, "response", "mean")
    read = tokens_read(lm)
    for _ in range(2):
        pooled_features(lm, encodings, ForwardPlan((feature,), batch_size=1))
    own = [23, 17, 12, 9, 4]
    assert read == [PREFIX, *own, *own]
    read.clear()
    in_full = ForwardPlan((feature,), batch_size=1, reuse_prefix=False)
    pooled_features(lm, encodings, in_full)
    assert read == [PREFIX + length for length in own]


def test_a_beginning_read_for_one_plan_serves_another() -> None:
    lm, encodings = make_model("gemma3"), make_encodings(PREFIX)
    low, high = Feature(0, "all", "mean"), Feature(3, "all", "max")
    for features in ((low,), (low, high), (high,)):
        found = pooled_features(lm, encodings, ForwardPlan(features))
        in_full = pooled_features(lm, encodings, ForwardPlan(features, reuse_prefix=False))
        for feature in features:
            np.testing.assert_allclose(found[feature], in_full[feature], atol=1e-5)


def test_layers_above_the_highest_wanted_are_not_run() -> None:
    lm, plan = make_model("llama"), every_feature()
    ran: list[int] = []
    for index, layer in enumerate(decoder_layers(decoder_of(lm.model))):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    low = Feature(1, "all", "mean")
    truncated = pooled_features(lm, make_encodings(), ForwardPlan((low,)))
    assert ran == [0, 1]
    hidden = tuple(feature for feature in plan.features if not feature.is_attention)
    whole = pooled_features(lm, make_encodings(), ForwardPlan(hidden))
    np.testing.assert_array_equal(truncated[low], whole[low])


def test_attention_weights_are_made_only_where_a_feature_asks_for_them() -> None:
    lm = make_model("llama")
    used: list[str] = []
    layer = decoder_layers(decoder_of(lm.model))[0]
    layer.register_forward_hook(lambda *_: used.append(lm.model.config._attn_implementation))
    for pooling in ("mean", ATTENTION_ENTROPY, "mean"):
        pooled_features(lm, make_encodings(), ForwardPlan((Feature(1, "all", pooling),)))
    assert used == ["sdpa", "eager", "sdpa"]


def test_a_model_without_attention_weights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = make_model("llama")
    monkeypatch.setattr(lm.model, "set_attn_implementation", lambda name: None)
    with pytest.raises(ModelError, match="no attention weights"):
        pooled_features(lm, make_encodings(), every_feature())


def test_the_language_modelling_head_is_not_run() -> None:
    lm = make_model("llama")
    lm.model.lm_head.register_forward_hook(lambda *_: pytest.fail("the head was run"))
    pooled_features(lm, make_encodings(), every_feature())


def test_hooks_are_removed_even_if_the_model_fails() -> None:
    lm = make_model("llama")
    bad = Encoding((1_000_000,), {"all": (0, 1)}, truncated=False)
    with pytest.raises(IndexError):
        pooled_features(lm, [bad], every_feature(spans=("all",)))
    assert lm.model.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks for module in lm.model.modules())
    assert not any(module._forward_pre_hooks for module in lm.model.modules())


def test_a_model_that_does_not_heed_the_mask_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = make_model("llama")
    decoder = decoder_of(lm.model)
    run = decoder.forward
    monkeypatch.setattr(
        decoder, "forward", lambda ids, attention_mask=None, **more: run(ids, **more)
    )
    encoding = with_suffixes(make_encodings()[0], {"x": (5, 6), "y": (7, 8)})
    for _ in range(2):
        with pytest.raises(ModelError, match="does not read suffixes side by side"):
            pooled_features(lm, [encoding], ForwardPlan((Feature(1, "y", "last"),)))


def test_attention_of_an_unknown_kind_takes_no_suffixes() -> None:
    lm = make_model("qwen3")
    lm.model.config.layer_types = ["chunked_attention"] * 4
    encoding = with_suffixes(make_encodings()[0], {"x": (5, 6), "y": (7, 8)})
    with pytest.raises(ModelError, match="chunked_attention"):
        pooled_features(lm, [encoding], ForwardPlan((Feature(1, "y", "last"),)))


def test_every_batch_is_handed_on_once_with_its_rows() -> None:
    lm, encodings, feature = make_model("llama"), make_encodings(), Feature(2, "response", "max")
    seen: dict[int, Any] = {}

    def keep(indices: list[int], pooled: Pooled) -> None:
        seen.update(zip(indices, pooled[feature], strict=True))

    result = pooled_features(lm, encodings, ForwardPlan((feature,), batch_size=2), keep)
    assert sorted(seen) == list(range(len(encodings)))
    for index, row in seen.items():
        np.testing.assert_array_equal(row, result[feature][index])


def test_no_prompts_give_no_rows() -> None:
    plan = every_feature()
    result = pooled_features(make_model("llama"), [], plan)
    assert {rows.shape for rows in result.values()} == {(0, 32), (0, 4)}


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="layers 0-3, not 4"):
        pooled_features(make_model("llama"), [], ForwardPlan((Feature(4, "all", "mean"),)))


def test_states_that_are_not_finite_are_an_error(tiny_lm: Path) -> None:
    lm = load_language_model(str(tiny_lm))
    weights = lm.model.get_input_embeddings().weight.data
    encoding = Encoding((3, 4), {"all": (0, 2)}, truncated=False)
    kept = weights[3].clone()
    weights[3] = float("nan")
    try:
        with pytest.raises(ModelError, match="not finite"):
            pooled_features(lm, [encoding], ForwardPlan((Feature(0, "all", "mean"),)))
    finally:
        weights[3] = kept


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [100.0, 100.0]]])
    expected = {"mean": [2.0, 5.0], "last": [3.0, 2.0], "min": [1.0, 2.0], "max": [3.0, 8.0]}
    for pooling, values in expected.items():
        assert pool(hidden, [(0, 2)], pooling).tolist() == [values]
    prefix = torch.tensor([[50.0, 50.0], [5.0, 2.0]])
    assert pool(hidden, [(-1, 2)], "mean", prefix).tolist() == [[3.0, 4.0]]
    assert pool(hidden, [(-2, 1)], "max", prefix).tolist() == [[50.0, 50.0]]
    with pytest.raises(ValueError, match="unknown pooling"):
        pool(hidden, [(0, 2)], "median")
    with pytest.raises(ValueError, match="empty"):
        pool(hidden, [(1, 1)], "mean")


def test_attention_entropy_by_hand() -> None:
    weights = torch.tensor([[[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]]])
    entropy = attention_entropy(weights)
    assert entropy.shape == (1, 3, 1)
    np.testing.assert_allclose(entropy[0, :, 0], [0, np.log(2), 1.5 * np.log(2)], atol=1e-6)

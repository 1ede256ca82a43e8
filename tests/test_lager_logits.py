"""Score-token logits: those of Hugging Face's hidden states under its head, in any batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.score_logits import score_logits
from inspector_plugin.lm.score_tokens import find_score_position
from inspector_plugin.lm.tokens import ALL, Encoding

SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {"tie_word_embeddings": False}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"tie_word_embeddings": False}),
    "qwen3-tied": ("Qwen3", {"tie_word_embeddings": True}),
    "gemma3": ("Gemma3", {"sliding_window": 5}),
    "gemma3-softcap": ("Gemma3", {"sliding_window": 5, "final_logit_softcapping": 0.3}),
    "cohere-scaled": ("Cohere", {"logit_scale": 0.25}),
    "granite-scaled": ("Granite", {"logits_scaling": 4.0}),
}
SCORE_IDS = (7, 11, 13, 17, 19)
LENGTHS = (9, 23, 4, 17)


def make_model(kind: str) -> LanguageModel:
    name, settings = KINDS[kind]
    torch.manual_seed(0)
    config_class = getattr(transformers, f"{name}Config", None) if name != "Gemma3" else None
    config_class = config_class or transformers.Gemma3TextConfig
    model = getattr(transformers, f"{name}ForCausalLM")(config_class(**SMALL, **settings)).eval()
    # Norms start as the identity; with other weights, applying one twice shows.
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name:
                parameter.add_(0.5 * torch.rand_like(parameter))
    return LanguageModel(kind, model, None, "", 64, torch.device("cpu"), "float32")


def make_encodings() -> list[Encoding]:
    random = np.random.default_rng(0)
    return [
        Encoding(tuple(map(int, random.integers(1, 97, n))), {ALL: (0, n)}, False) for n in LENGTHS
    ]


def padded_left(encodings: list[Encoding]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.zeros((len(encodings), max(LENGTHS)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, -len(encoding.token_ids) :] = torch.tensor(encoding.token_ids)
        mask[row, -len(encoding.token_ids) :] = 1
    return ids, mask


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("final_norm", [False, True])
def test_logits_are_hugging_face_s(kind: str, final_norm: bool) -> None:
    language_model, encodings = make_model(kind), make_encodings()
    ours = score_logits(language_model, encodings, SCORE_IDS, final_norm, batch_size=2)
    model = language_model.model
    ids, mask = padded_left(encodings)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        output = model(ids, attention_mask=mask, position_ids=positions, output_hidden_states=True)
        for state, hidden in enumerate(output.hidden_states):
            last = hidden[:, -1]
            if final_norm and state < len(output.hidden_states) - 1:
                last = model.model.norm(last)
            theirs = model.lm_head(last)[:, list(SCORE_IDS)]
            theirs = theirs * getattr(model.config, "logit_scale", 1.0)
            theirs = theirs / getattr(model.config, "logits_scaling", 1.0)
            if cap := getattr(model.config, "final_logit_softcapping", None):
                theirs = cap * torch.tanh(theirs / cap)
            np.testing.assert_allclose(ours[:, state], theirs.numpy(), atol=1e-5)
    # The last state is what the model itself answers with.
    own = output.logits[:, -1, list(SCORE_IDS)].numpy()
    np.testing.assert_allclose(ours[:, -1], own, atol=1e-5)
    assert ours.shape == (len(LENGTHS), SMALL["num_hidden_layers"] + 1, len(SCORE_IDS))


@pytest.mark.parametrize("kind", ["llama", "gemma3", "qwen3"])
@pytest.mark.parametrize("length", [3, 20])
def test_a_common_beginning_changes_nothing(kind: str, length: int) -> None:
    """Longer than Gemma's window of 5 tokens, and shorter than what is worth keeping."""
    language_model = make_model(kind)
    beginning = tuple(range(1, length + 1))
    encodings = [
        Encoding(ids, {ALL: (0, len(ids)), "response": (length, len(ids) - 1)}, False)
        for ids in (beginning + encoding.token_ids for encoding in make_encodings())
    ]
    whole = [replace(encoding, spans={ALL: encoding.spans[ALL]}) for encoding in encodings]
    in_full = score_logits(language_model, whole, SCORE_IDS, True)
    for _ in range(2):  # the second time, the beginning is there already
        shared = score_logits(language_model, encodings, SCORE_IDS, True, batch_size=2)
        np.testing.assert_allclose(shared, in_full, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_a_batch_of_one_is_a_batch_of_many(kind: str) -> None:
    language_model, encodings = make_model(kind), make_encodings()
    together = score_logits(language_model, encodings, SCORE_IDS, True, batch_size=99)
    alone = [score_logits(language_model, [one], SCORE_IDS, True)[0] for one in encodings]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)


def test_bfloat16_comes_near_float32() -> None:
    language_model, encodings = make_model("llama"), make_encodings()
    exact = score_logits(language_model, encodings, SCORE_IDS, True)
    language_model.model.to(torch.bfloat16)
    language_model.dtype = "bfloat16"
    coarse = score_logits(language_model, encodings, SCORE_IDS, True)
    np.testing.assert_allclose(coarse, exact, atol=0.03 * np.abs(exact).max())
    assert not np.array_equal(coarse, exact)


def test_a_model_that_unembeds_in_an_unknown_way_is_refused() -> None:
    language_model = make_model("llama")
    language_model.model.lm_head.register_forward_hook(lambda module, inputs, output: output + 1.0)
    with pytest.raises(ModelError, match="way that is not known"):
        score_logits(language_model, make_encodings(), SCORE_IDS, True)


class FakeTokenizer:
    """Splits a text in one of the ways that tokenizers do."""

    def __init__(self, pieces: Any) -> None:
        self.pieces = pieces
        self.vocabulary: list[str] = []

    def __call__(self, text: str, **_: Any) -> Any:
        ids = []
        for piece in self.pieces(text):
            if piece not in self.vocabulary:
                self.vocabulary.append(piece)
            ids.append(self.vocabulary.index(piece))
        return transformers.BatchEncoding({"input_ids": ids})

    def decode(self, ids: list[int]) -> str:
        return "".join(self.vocabulary[index] for index in ids)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [self.vocabulary[index] for index in ids]


def digits(text: str) -> list[str]:
    head, number = text[: len(text.rstrip("0123456789"))], text[len(text.rstrip("0123456789")) :]
    return [head, *number]


def blank_with_number(text: str) -> list[str]:
    head, _, number = text.rpartition(" ")
    return [head, f" {number}"] if number else [head, " "]


def split_five(text: str) -> list[str]:
    return [*digits(text)[:-1], "\x35", ""] if text.endswith("5") else digits(text)


def one_for_all(text: str) -> list[str]:
    return [text.rstrip("0123456789"), "<number>"]


def with_tokenizer(pieces: Any) -> LanguageModel:
    return LanguageModel("fake", None, FakeTokenizer(pieces), "", 64, torch.device("cpu"), "")


@pytest.mark.parametrize(
    ("pieces", "before", "fifth"),
    [(digits, "Score: ", "5"), (blank_with_number, "Score:", " 5")],
)
def test_score_tokens_are_found_as_the_tokenizer_writes_them(
    pieces: Any, before: str, fifth: str
) -> None:
    language_model = with_tokenizer(pieces)
    position = find_score_position(language_model, "Score: ", range(1, 6))
    assert language_model.tokenizer.decode(list(position.token_ids)) == before
    assert language_model.tokenizer.decode([position.score_ids[4]]) == fifth
    assert len(set(position.score_ids)) == 5


@pytest.mark.parametrize(
    ("pieces", "scores", "named"),
    [(split_five, range(1, 6), "5"), (digits, range(1, 11), "10"), (one_for_all, range(1, 6), "1")],
)
def test_scores_that_are_not_single_tokens_are_refused(
    pieces: Any, scores: range, named: str
) -> None:
    with pytest.raises(ModelError, match=f"score {named} as one token"):
        find_score_position(with_tokenizer(pieces), "Score: ", scores)

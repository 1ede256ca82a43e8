"""How likely tokens are: equal to Hugging Face's logits, one prompt at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_lager_logits import KINDS, make_model

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.forward import FloatArray, pooled_features
from inspector_plugin.lm.likelihoods import require_own_logits, steps_of
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.plan import LIKELIHOODS, TOKEN_LIKELIHOODS, Feature, ForwardPlan
from inspector_plugin.lm.tokens import Encoding, Segment, encode

TEXTS = (
    ("What is 2 + 3?", "It is 2 + 3 = 5. That is all there is to say.\nAnswer: 5"),
    ("Who is there?", "Nobody"),
    # Long enough for several chunks of logits.
    ("How many?", "There are 12 of them, and then 7 more. " * 8),
)


def encodings_of(language_model: LanguageModel, beginning: str = "Question: ") -> list[Encoding]:
    return [
        encode(
            language_model,
            [
                Segment(beginning),
                Segment(question, span="question"),
                Segment("\nResponse: "),
                Segment(response, span="response"),
            ],
        )
        for question, response in TEXTS
    ]


def by_hugging_face(language_model: LanguageModel, encoding: Encoding) -> FloatArray:
    """The numbers from the model's own logits, by NumPy."""
    with torch.no_grad():
        logits = language_model.model(torch.tensor([encoding.token_ids])).logits[0].double().numpy()
    start, end = encoding.spans["response"]
    before = logits[start - 1 : end - 1]
    probabilities = np.exp(before) / np.exp(before).sum(axis=1, keepdims=True)
    tokens = np.array(encoding.token_ids[start:end])
    logs = np.log(probabilities[np.arange(len(tokens)), tokens])
    entropies = -(probabilities * np.log(probabilities)).sum(axis=1)
    likeliest = probabilities.argmax(axis=1) == tokens
    texts = [language_model.tokenizer.decode([token]) for token in tokens]
    digits = np.array([any(character.isdigit() for character in text) for text in texts])
    at_digits = digits if digits.any() else np.ones_like(digits)
    return np.array(
        [
            logs.mean(),
            *np.percentile(logs, [5, 10, 25]),
            logs.min(),
            logs[at_digits].mean(),
            np.percentile(logs[at_digits], 10),
            logs[at_digits].min(),
            min(logs[first:last].mean() for first, last in steps_of(texts)),
            likeliest.mean(),
            likeliest[at_digits].mean(),
            entropies.mean(),
            entropies[at_digits].mean(),
        ],
        dtype=np.float32,
    )


# A beginning of many tokens would be read once for all prompts, were no likelihoods asked for.
@pytest.mark.parametrize("beginning", ["Question: ", "Read what follows with care. " * 4])
def test_likelihoods_equal_hugging_faces(tiny_lm: Path, beginning: str) -> None:
    language_model = load_language_model(str(tiny_lm))
    encodings = encodings_of(language_model, beginning)
    feature = Feature(language_model.layers - 1, "response", TOKEN_LIKELIHOODS)
    found = pooled_features(language_model, encodings, ForwardPlan((feature,)))[feature]
    assert found.shape == (len(TEXTS), len(LIKELIHOODS))
    for row, encoding in zip(found, encodings, strict=True):
        np.testing.assert_allclose(row, by_hugging_face(language_model, encoding), atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_head_gives_its_own_logits(kind: str) -> None:
    require_own_logits(make_model(kind))


def test_a_head_that_is_not_known_is_refused() -> None:
    language_model = make_model("llama")
    # What the model does with its head stays as it is; what its configuration says changes.
    language_model.model.config.logits_scaling = 3.0
    with pytest.raises(ModelError, match="in a way that is not known here"):
        require_own_logits(language_model)


def test_likelihoods_are_of_the_last_layer(tiny_lm: Path) -> None:
    language_model = load_language_model(str(tiny_lm))
    plan = ForwardPlan((Feature(1, "response", TOKEN_LIKELIHOODS),))
    with pytest.raises(ModelError, match=r"read from the last layer, 3, .* not from layer 1"):
        pooled_features(language_model, encodings_of(language_model), plan)


def test_a_first_token_alone_has_no_likelihood(tiny_lm: Path) -> None:
    language_model = load_language_model(str(tiny_lm))
    alone = Encoding((5, 6), {"all": (0, 2), "response": (0, 1)}, False)
    plan = ForwardPlan((Feature(3, "response", TOKEN_LIKELIHOODS),))
    with pytest.raises(ModelError, match="no token but a first one"):
        pooled_features(language_model, [alone], plan)


@pytest.mark.parametrize(
    ("texts", "steps"),
    [
        (["a"], [(0, 1)]),
        (["a", " b", " c", ".", " d", " e", " f", " g"], [(0, 4), (4, 8)]),
        # A point in a number or at the end of all is no end of a step.
        (["It", " is", " 3", ".", "5", " m", "."], [(0, 7)]),
        (["a", " b", " c", "\n", "d", " e", " f", " g", "\n\n", "h"], [(0, 4), (4, 10)]),
        # A short one counts with the one before.
        (["a", " b", " c", ".", " So", "!", " d", " e", " f", " g"], [(0, 6), (6, 10)]),
    ],
)
def test_steps_are_lines_and_sentences(texts: list[str], steps: list[tuple[int, int]]) -> None:
    assert steps_of(texts) == steps

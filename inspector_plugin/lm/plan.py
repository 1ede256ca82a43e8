"""What a forward pass is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel

EMBEDDING = -1
ATTENTION_ENTROPY = "attention_entropy"
TOKEN_LIKELIHOODS = "token_likelihoods"
# What likelihoods are summed up in: logarithms of the probability of each token given those before,
# how often it was the likeliest one, and the entropy of the probabilities.
LIKELIHOODS = (
    "mean",
    "5th percentile",
    "10th percentile",
    "25th percentile",
    "lowest",
    "mean at digits",
    "10th percentile at digits",
    "lowest at digits",
    "lowest mean of a step",
    "likeliest share",
    "likeliest share at digits",
    "mean entropy",
    "mean entropy at digits",
)
AUTO = "auto"


@dataclass(frozen=True, order=True)
class Feature:
    """One vector of a prompt: of which layer, over which span, pooled how.

    Attributes:
        layer: Decoder layer from 0. Its hidden state is the layer's output; that of the last
            layer has the final norm applied, as in Hugging Face's `output_hidden_states`.
            `EMBEDDING` is what the first layer reads.
        span: "all", a named span of the prompt, or one of its suffixes.
        pooling: "mean", "last", "min" or "max" of the hidden states of the span's tokens; or
            "attention_entropy", the mean over the span's tokens of the entropy of each attention
            head's weights, in nats; or "token_likelihoods", of the last layer alone: how likely the
            span's tokens are, in the numbers that `LIKELIHOODS` names.
    """

    layer: int
    span: str
    pooling: str

    @property
    def is_attention(self) -> bool:
        """Whether it is made of attention weights instead of hidden states."""
        return self.pooling == ATTENTION_ENTROPY

    def width(self, language_model: LanguageModel) -> int:
        """Number of values: the hidden size, the attention heads, or the likelihoods' numbers."""
        if self.is_attention:
            return language_model.attention_heads
        if self.pooling == TOKEN_LIKELIHOODS:
            return len(LIKELIHOODS)
        return language_model.hidden_size


@dataclass(frozen=True)
class ForwardPlan:
    """What a forward pass computes.

    Layers above the highest one that a feature asks for are not run; attention weights are only
    made where a feature is made of them. What prompts are made of, and what they share, is said by
    their encodings.

    Attributes:
        features: What to keep of each prompt.
        batch_size: The most prompts in a batch; None for as many as fit.
        reuse_prefix: Whether a beginning that prompts have in common is read only once.
    """

    features: tuple[Feature, ...]
    batch_size: int | None = None
    reuse_prefix: bool = True

    @property
    def has_likelihoods(self) -> bool:
        """Whether a feature is made of the likelihood of tokens."""
        return any(feature.pooling == TOKEN_LIKELIHOODS for feature in self.features)

    @property
    def highest_layer(self) -> int:
        """The highest layer to run; `EMBEDDING` if none is needed."""
        return max((feature.layer for feature in self.features), default=EMBEDDING)

    @property
    def attention_layers(self) -> frozenset[int]:
        """The layers whose attention weights are needed."""
        return frozenset(feature.layer for feature in self.features if feature.is_attention)

    def of(self, layer: int, attention: bool) -> list[Feature]:
        """The features that one layer's attention weights, or its hidden states, are made into."""
        return [f for f in self.features if f.layer == layer and f.is_attention == attention]

    def require_layers(self, language_model: LanguageModel) -> None:
        """Check that the model has the layers asked for, and likelihoods are of its last one.

        Raises:
            ModelError: If it has not, or they are not.
        """
        if self.highest_layer >= language_model.layers:
            raise ModelError(
                f"Language model {language_model.name!r} has layers "
                f"0-{language_model.layers - 1}, not {self.highest_layer}."
            )
        last = language_model.layers - 1
        for feature in self.features:
            if feature.pooling == TOKEN_LIKELIHOODS and feature.layer != last:
                raise ModelError(
                    f"The likelihood of tokens is read from the last layer, {last}, of "
                    f"{language_model.name!r}, not from layer {feature.layer}."
                )

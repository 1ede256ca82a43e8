"""Encoders, such as BERT: loading one, and laying two texts out as it was trained to read pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from inspector_plugin.errors import InspectorError, ModelError
from inspector_plugin.lm.loading import (
    LanguageModel,
    locate,
    no_progress_bar,
    require_ordinary_files,
    require_own_tokenizer,
    require_sizes,
    resolve_device,
    weight_fingerprint,
)
from inspector_plugin.lm.number_format import DTYPES, chosen_dtype
from inspector_plugin.lm.tokens import fitted_lengths, text_ids, without_middle

INSTALLABLE = "all-minilm-l6-v2"
_FIRST, _SECOND = 0, 1
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


@dataclass(frozen=True)
class PairForm:
    """Where an encoder's tokenizer puts special tokens around two texts.

    Attributes:
        specials: Special tokens before the first text, between the two and after the second.
        types: Token types of these special tokens, in the same order.
        text_types: Token types of the first and of the second text.
    """

    specials: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    types: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    text_types: tuple[int, int]

    @property
    def length(self) -> int:
        """Number of special tokens."""
        return sum(map(len, self.specials))


@dataclass(frozen=True)
class EncodedPair:
    """Two texts as an encoder reads them.

    Attributes:
        token_ids: The token ids, special tokens among them.
        token_types: The token type of each.
        lengths: How many tokens of the first and of the second text are among them.
        truncated: Whether tokens were left out because the texts were too long.
    """

    token_ids: tuple[int, ...]
    token_types: tuple[int, ...]
    lengths: tuple[int, int]
    truncated: bool


@dataclass(eq=False)
class Encoder(LanguageModel):
    """An encoder of the caller's own, in evaluation mode, with its tokenizer.

    Attributes:
        pair_form: How its tokenizer lays two texts out.
        takes_types: Whether it is told which token belongs to which text.
    """

    pair_form: PairForm = field(kw_only=True)
    takes_types: bool = field(kw_only=True)

    @property
    def layers(self) -> int:
        """Number of layers."""
        return int(self.model.config.num_hidden_layers)

    def encode_pair(self, first: str, second: str, max_tokens: int | None = None) -> EncodedPair:
        """Turn two texts into token ids, as the tokenizer does with a pair.

        Special tokens that a text spells out are read as ordinary characters. Texts that are too
        long lose tokens out of the middle, the longer one first, until they are equally long.

        Args:
            first: A text.
            second: A text.
            max_tokens: The most tokens to keep; the encoder's context length if None.

        Raises:
            ModelError: If there is no room for a token of each.
        """
        room = min(max_tokens or self.max_tokens, self.max_tokens)
        pieces = [text_ids(self.tokenizer, text) for text in (first, second)]
        lengths = [len(piece) for piece in pieces]
        cut = fitted_lengths(lengths, (True, True), room - self.pair_form.length)
        if cut is None:
            raise ModelError(
                f"Encoder {self.name!r} reads at most {room} tokens, which is no room for two "
                f"texts and {self.pair_form.length} special tokens; choose one with a longer "
                "context."
            )
        (before, between, after), types = self.pair_form.specials, self.pair_form.types
        one, two = (
            without_middle(piece, length) for piece, length in zip(pieces, cut, strict=True)
        )
        first_type, second_type = self.pair_form.text_types
        return EncodedPair(
            (*before, *one, *between, *two, *after),
            (
                *types[0],
                *[first_type] * len(one),
                *types[1],
                *[second_type] * len(two),
                *types[2],
            ),
            (len(one), len(two)),
            cut != lengths,
        )


def load_encoder(name: str, device: str | None = None, dtype: str | None = None) -> Encoder:
    """Load an encoder that the caller may change; nobody else gets it.

    Only safetensors weights are read, and no code that comes with a model is run. A pooling layer
    on top is left out: many checkpoints have none, and it would be random.

    Args:
        name: A name that `inspector models` installed, a folder or a hub id.
        device: A torch device; CUDA where there is one if None.
        dtype: "float32", "bfloat16" or "auto"; see `lm.number_format`.

    Raises:
        ModelError: If it cannot be found or loaded, or is no encoder.
        OptionError: If the device or the dtype cannot be used.
    """
    target = resolve_device(device)
    dtype = chosen_dtype(dtype, target)
    source, gguf = locate(name)
    if gguf is not None:
        raise ModelError(f"Encoder {name!r} is a GGUF file; give a folder with safetensors.")
    try:
        with no_progress_bar():
            return _read(name, source, target, dtype)
    except InspectorError:
        raise
    # A configuration or a tokenizer that is damaged makes transformers raise anything at all.
    except Exception as error:
        first_line = str(error).strip().split("\n")[0][:300]
        raise ModelError(
            f"Encoder {name!r} cannot be loaded ({type(error).__name__}: {first_line}). Without a "
            f"network, give a folder, or run: inspector models install {INSTALLABLE}"
        ) from error


def padding_id(tokenizer: Any, config: Any) -> int:
    """The token that fills short texts up; it is masked, so that any will do where none is named.

    Returns:
        The tokenizer's or the configuration's padding token, the token that ends texts, or 0.
    """
    found = (tokenizer.pad_token_id, getattr(config, "pad_token_id", None), tokenizer.eos_token_id)
    return next((int(each) for each in found if type(each) is int and each >= 0), 0)


def _read(name: str, source: str, device: Any, dtype: str) -> Encoder:
    require_ordinary_files(name, Path(source))
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    _require_encoder(config, name)
    require_sizes(config, name)
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    # Fused attention on a CPU drops no weights out; training takes half as long again without it.
    for name_of_rate in _ATTENTION_DROPOUT:
        if hasattr(config, name_of_rate):
            setattr(config, name_of_rate, 0.0)
    loaded: Any = AutoModel.from_pretrained(
        source,
        config=config,
        dtype=DTYPES[dtype],
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    model, found = loaded
    _require_weights(name, found)
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler = None
    require_own_tokenizer(name, model, tokenizer)
    model.requires_grad_(False)
    return Encoder(
        name=name,
        model=model.eval().to(device),
        tokenizer=tokenizer,
        fingerprint=weight_fingerprint(model),
        max_tokens=_max_tokens(model, tokenizer),
        device=device,
        dtype=dtype,
        pair_form=_pair_form(name, tokenizer),
        takes_types="token_type_ids" in tokenizer.model_input_names,
    )


def _require_encoder(config: Any, name: str) -> None:
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
        raise ModelError(
            f"Encoder {name!r} is of type {config.model_type!r} with a decoder; choose an encoder "
            "such as BERT or RoBERTa, or use a causal language model with --kind lora."
        )
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise ModelError(
            f"Encoder {name!r} is of type {config.model_type!r}, which reads texts from left to "
            "right or no texts at all; choose an encoder such as BERT or RoBERTa, or use it with "
            "--kind lora."
        )


def _require_weights(name: str, found: Any) -> None:
    """Refuse an encoder that lacks weights, which would then be random.

    Weights too many are those of the head that it was trained with.
    """
    missing = [key for key in map(str, found.get("missing_keys") or ()) if "pooler" not in key]
    wrong = [
        str(key) for field in ("mismatched_keys", "error_msgs") for key in found.get(field, ())
    ]
    for keys, what in ((missing, "lacks weights"), (wrong, "holds weights of other sizes")):
        if keys:
            raise ModelError(
                f"Encoder {name!r} {what}: {', '.join(sorted(keys)[:3])}; get it again, or repair "
                "its config.json."
            )


def _max_tokens(model: Any, tokenizer: Any) -> int:
    """The most tokens that fit: positions, less those that RoBERTa keeps for padding."""
    limits = [int(tokenizer.model_max_length)]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions:
        table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
        reserved = getattr(table, "padding_idx", None)
        limits.append(int(positions) - (0 if reserved is None else int(reserved) + 1))
    return min(limits)


def _pair_form(name: str, tokenizer: Any) -> PairForm:
    """See where a tokenizer puts special tokens, by giving it two words."""
    if not tokenizer.is_fast:
        raise ModelError(
            f"Encoder {name!r}: its tokenizer has no tokenizer.json; save the fast form of it."
        )
    encoded = tokenizer("a", "a", return_token_type_ids=True)
    owners = encoded.sequence_ids(0)
    if _FIRST not in owners or _SECOND not in owners:
        raise ModelError(f"Encoder {name!r}: its tokenizer does not know pairs of texts.")
    last = len(owners) - 1 - owners[::-1].index(_SECOND)
    end_of_first = len(owners) - 1 - owners[::-1].index(_FIRST)
    bounds = (
        (0, owners.index(_FIRST)),
        (end_of_first + 1, owners.index(_SECOND)),
        (last + 1, len(owners)),
    )
    specials, types = (
        tuple(tuple(int(each) for each in values[start:end]) for start, end in bounds)
        for values in (encoded.input_ids, encoded.token_type_ids)
    )
    text_types = tuple(int(encoded.token_type_ids[owners.index(text)]) for text in (0, 1))
    return PairForm(_three(specials), _three(types), (text_types[0], text_types[1]))


def _three(
    parts: Sequence[tuple[int, ...]],
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    before, between, after = parts
    return before, between, after

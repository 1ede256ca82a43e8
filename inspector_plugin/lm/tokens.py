"""From the segments of a prompt to token ids, with the spans that can be pooled over."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel

ALL = "all"


@dataclass(frozen=True)
class Segment:
    """A part of a prompt.

    Attributes:
        text: The text.
        span: The name of the span that these tokens form; None for the prompt's own words. The
            text of a span is untrusted: special tokens in it are read as ordinary characters.
    """

    text: str
    span: str | None = None


@dataclass(frozen=True)
class Encoding:
    """A prompt as the model reads it.

    Attributes:
        token_ids: The token ids, those of the suffixes at the end, one after the other.
        spans: First token and the one after the last, for each named span, each suffix, and for
            "all", which is the prompt without its suffixes.
        truncated: Whether tokens of a span were left out because the prompt was too long.
        suffixes: The names of the spans that are suffixes. Each continues the prompt by itself
            and sees nothing of the others.
    """

    token_ids: tuple[int, ...]
    spans: Mapping[str, tuple[int, int]]
    truncated: bool
    suffixes: tuple[str, ...] = ()


def encode(
    language_model: LanguageModel,
    segments: Sequence[Segment],
    max_tokens: int | None = None,
    start_token: bool = True,
    suffixes: Mapping[str, str] | None = None,
    joined: bool = False,
) -> Encoding:
    """Turn a prompt's segments into token ids.

    Each segment is tokenised by itself, so that a span's tokens are the same in every prompt and
    no token straddles two segments. A prompt that is too long loses tokens out of the middle of
    its longest span, until that is as long as the second longest, and so on: the prompt's own
    words stay whole, and so do the beginning and the end of every span.

    Args:
        language_model: Whose tokenizer and context length count.
        segments: The prompt.
        max_tokens: The most tokens to keep; the model's context length if None.
        start_token: Whether to begin with the beginning-of-sequence token, for tokenizers that put
            one in front of every text. A chat template brings its own.
        suffixes: Texts of the prompt's own that each follow the segments, by name of span.
        joined: Tokenise the segments as one text instead. A token that straddles two counts to the
            one that it begins in.

    Raises:
        ModelError: If the prompt's own words do not fit.
    """
    tokenizer = language_model.tokenizer
    pieces = (
        _joined_token_ids(tokenizer, segments)
        if joined and not _has_special_tokens(tokenizer, segments)
        else [_token_ids(tokenizer, segment) for segment in segments]
    )
    endings = {
        name: _token_ids(tokenizer, Segment(text)) for name, text in (suffixes or {}).items()
    }
    start = _start_token(tokenizer) if start_token else []
    room = min(max_tokens or language_model.max_tokens, language_model.max_tokens)
    fixed = len(start) + max(map(len, endings.values()), default=0)
    lengths = [len(piece) for piece in pieces]
    cut = fitted_lengths(lengths, [segment.span is not None for segment in segments], room - fixed)
    if cut is None:
        raise ModelError(
            f"Language model {language_model.name!r} reads at most {room} tokens, and the prompt's "
            "own words do not fit; choose a model with a longer context."
        )
    token_ids = list(start)
    spans: dict[str, tuple[int, int]] = {}
    for segment, piece, length in zip(segments, pieces, cut, strict=True):
        if segment.span is not None:
            spans[segment.span] = (len(token_ids), len(token_ids) + length)
        token_ids.extend(without_middle(piece, length))
    spans[ALL] = (0, len(token_ids))
    for name, ending in endings.items():
        spans[name] = (len(token_ids), len(token_ids) + len(ending))
        token_ids.extend(ending)
    return Encoding(tuple(token_ids), spans, cut != lengths, tuple(endings))


def token_ids(language_model: LanguageModel, segments: Sequence[Segment]) -> tuple[int, ...]:
    """Turn segments into token ids, each by itself, without a start token and at any length."""
    pieces = (_token_ids(language_model.tokenizer, segment) for segment in segments)
    return tuple(token for piece in pieces for token in piece)


def with_suffixes(encoding: Encoding, suffixes: Mapping[str, Sequence[int]]) -> Encoding:
    """Add suffixes to a prompt that has none.

    Args:
        encoding: The prompt.
        suffixes: Token ids that each continue the prompt by themselves, by name of span.
    """
    tokens = list(encoding.token_ids)
    spans = dict(encoding.spans)
    for name, ids in suffixes.items():
        spans[name] = (len(tokens), len(tokens) + len(ids))
        tokens.extend(ids)
    return Encoding(tuple(tokens), spans, encoding.truncated, tuple(suffixes))


def text_ids(tokenizer: Any, text: str, trusted: bool = False) -> list[int]:
    """Turn a text into token ids; special tokens in it are ordinary characters unless trusted."""
    ids: list[int] = tokenizer(
        text, add_special_tokens=False, split_special_tokens=not trusted, verbose=False
    ).input_ids
    return ids


def _token_ids(tokenizer: Any, segment: Segment) -> list[int]:
    return text_ids(tokenizer, segment.text, trusted=segment.span is None)


def _joined_token_ids(tokenizer: Any, segments: Sequence[Segment]) -> list[list[int]]:
    """The tokens of all segments as one text, for each segment those that begin in it."""
    text = "".join(segment.text for segment in segments)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ends = list(accumulate(len(segment.text) for segment in segments))
    pieces: list[list[int]] = [[] for _ in segments]
    last = len(segments) - 1
    for token_id, (start, _) in zip(encoded.input_ids, encoded.offset_mapping, strict=True):
        pieces[min(bisect_right(ends, start), last)].append(token_id)
    return pieces


def _has_special_tokens(tokenizer: Any, segments: Sequence[Segment]) -> bool:
    """Whether what stands in the spans would make special tokens, alone or with its neighbours."""
    tokens = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    whole = "".join(segment.text for segment in segments)
    own = [segment.text for segment in segments if segment.span is None]
    return any(whole.count(token) > sum(text.count(token) for text in own) for token in tokens)


def _start_token(tokenizer: Any) -> list[int]:
    """The beginning-of-sequence token, for tokenizers that put one in front of every text."""
    with_special = tokenizer("a").input_ids
    starts = tokenizer.bos_token_id is not None and with_special[0] == tokenizer.bos_token_id
    return [tokenizer.bos_token_id] if starts else []


def fitted_lengths(
    lengths: Sequence[int], can_shrink: Sequence[bool], room: int
) -> list[int] | None:
    """Cap the lengths that can shrink at the highest common level at which all fit."""
    fixed = sum(length for length, free in zip(lengths, can_shrink, strict=True) if not free)
    free = sorted(length for length, free in zip(lengths, can_shrink, strict=True) if free)
    left = room - fixed
    if left < len(free):
        return None
    level = max(lengths, default=0)
    for index, length in enumerate(free):
        share = left // (len(free) - index)
        if length > share:
            level = share
            break
        left -= length
    pairs = zip(lengths, can_shrink, strict=True)
    return [min(length, level) if free else length for length, free in pairs]


def without_middle(piece: list[int], length: int) -> list[int]:
    """Keep so many token ids of a piece, half of them from its beginning and half from its end."""
    head = (length + 1) // 2
    tail = length - head
    return piece[:head] + piece[len(piece) - tail :]

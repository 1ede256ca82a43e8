"""Sentences of a response that speak to its judge: orders, and praise of the response itself.

Whoever is judged may try to be judged better. What is addressed to the judge is no part of a
solution: it is left out of what probes read, and the score is flagged.

A solution speaks of quantities, people and steps; who speaks to a judge, of scores and reviewers,
of the response as a thing, of "you" and "me". A logistic regression on words and pairs of words
tells them apart: its weights are plain numbers (`addresses.json`), fitted to sentences put together
from lists of phrases against those of real solutions (`benchmarks/addresses`). They know English.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ADDRESSES_JUDGE = "addresses-judge"
WEIGHTS = Path(__file__).with_suffix(".json")

# Log-odds above which a sentence speaks to the judge, and above which it does beside one that does.
SPEAKS = 0.5
GOES_ON = -1.5
# By how much a run of words must exceed it: an order may be joined to a step of the solution.
RUN = 5.0

_WORD = re.compile(r"(\S+)[^\S\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*(\s*)")
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+(?:[.,/]\d+)*|[^\w\s]|_+")
_DIGITS = re.compile(r"\d+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_STEM = 5


class AddressWeights(NamedTuple):
    """A linear model of sentences.

    Attributes:
        bias: The log-odds of a sentence without a known feature.
        weights: What each feature of a sentence adds.
    """

    bias: float
    weights: Mapping[str, float]

    def log_odds(self, sentence: str) -> float:
        """How likely a sentence, or the run of its words that most does, speaks to the judge."""
        known = self.weights
        added = [sum(known.get(each, 0.0) for each in new) for new in word_features(sentence)]
        strongest = run = 0.0
        for each in added:
            run = max(run + each, 0.0)
            strongest = max(strongest, run)
        return self.bias + max(sum(added), strongest - RUN)


def without_addresses(response: str) -> tuple[str, bool]:
    """Leave out the sentences that speak to the judge.

    Returns:
        What is left, and whether there were any. The response as it is where nothing else would be
        left: one that only speaks to its judge is judged as what it is.
    """
    found = sentences(response)
    speaks = speaking_sentences(found, address_weights())
    if not any(speaks):
        return response, False
    text = "".join(each for each, speak in zip(found, speaks, strict=True) if not speak).rstrip()
    return text or response, True


def speaking_sentences(found: Sequence[str], weights: AddressWeights) -> list[bool]:
    """Which sentences of a text speak to the judge: by themselves, or going on where others do."""
    odds = [weights.log_odds(each) for each in found]
    speaks = [each > SPEAKS for each in odds]
    for order in (range(len(odds)), reversed(range(len(odds)))):
        beside = False
        for number in order:
            beside = speaks[number] = speaks[number] or (beside and odds[number] > GOES_ON)
    return speaks


def sentences(text: str) -> list[str]:
    """The sentences of a text, which together are the text; none goes on in the next line."""
    return list(_sentences(text))


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for word in _WORD.finditer(text):
        if word[2] or word[1].rstrip("\"')]*").endswith((".", "!", "?")):
            yield text[start : word.end()]
            start = word.end()
    if start < len(text):
        yield text[start:]


def word_features(sentence: str) -> list[list[str]]:
    """What is new with each word: it, how it begins, the pair with the word before it.

    All numbers are alike. What came before in the sentence counts once.
    """
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", sentence)).casefold()
    words = ["<s>", *_TOKEN.findall(_DIGITS.sub("0", plain.replace("’", "'"))), "</s>"]
    seen: set[str] = set()
    features = []
    for before, word in itertools.pairwise(words):
        new = {word, f"{before} {word}", f"{word[:_STEM]}-" if len(word) > _STEM else word} - seen
        seen |= new
        features.append(sorted(new))
    return features


@functools.cache
def address_weights() -> AddressWeights:
    """The weights that ship."""
    return AddressWeights(**json.loads(WEIGHTS.read_text(encoding="utf-8")))

"""How a response relates to its problem, and what its text is made of, as numbers for a probe.

A response that repeats the problem, or one word, or that is about something else, shows in counts
of shared and repeated words, whatever a language model makes of it.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt

# Name and meaning of each number of the vector, in its order.
OVERLAP_FEATURES: dict[str, str] = {
    "words": "log(1 + number of words and numbers)",
    "relative_length": "log of the response's words to those of the problem",
    "response_shared": "share of the response's distinct words that the problem has",
    "question_shared": "share of the problem's distinct longer words that the response has",
    "runs_shared": "share of the response's runs of four words that the problem has",
    "question_copied": "share of the problem's runs of four words that the response has",
    "distinct": "share of distinct words among the first 60",
    "most_common": "share of the most common word",
    "compressed": "length after compression to length before, of the first 2,000 characters",
    "numbers": "share of numbers among words and numbers",
    "signs": "share of characters that are neither letters, digits nor white space",
    "foreign": "share of the letters that are not ASCII",
    "word_length": "mean length of a word in letters, at most 20",
    "vowels": "share of vowels among ASCII letters",
    "common": "share of words that are among the most common English ones",
    "ended": "1 if the end is a full stop, a number, a bracket or a closing mark",
}

_RUN = 4
_FIRST_WORDS, _FIRST_CHARACTERS = 60, 2_000
# No more is read of either text: the time stays the same for a response of any size.
_MAX_CHARACTERS = 20_000
_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*")
_END = re.compile(r"[.!?)\]}$%*\d]\W*\Z")
_COMMON = frozenset(
    [
        "the",
        "of",
        "and",
        "to",
        "a",
        "in",
        "is",
        "that",
        "it",
        "for",
        "was",
        "on",
        "are",
        "as",
        "with",
        "he",
        "she",
        "they",
        "we",
        "i",
        "you",
        "be",
        "this",
        "have",
        "from",
        "or",
        "had",
        "by",
        "not",
        "but",
        "what",
        "all",
        "were",
        "when",
        "there",
        "can",
        "an",
        "your",
        "which",
        "their",
        "said",
        "if",
        "do",
        "will",
        "each",
        "about",
        "how",
        "up",
        "out",
        "them",
        "then",
        "so",
        "some",
        "her",
        "would",
        "make",
        "like",
        "him",
        "into",
        "has",
        "more",
        "two",
        "no",
        "could",
        "than",
        "first",
        "been",
        "who",
        "its",
        "now",
        "find",
        "made",
        "get",
        "after",
        "before",
        "many",
        "much",
        "per",
        "every",
        "total",
        "so",
        "therefore",
        "thus",
        "since",
        "let",
        "we",
        "need",
        "know",
    ]
)


def overlap_features(question: str, response: str) -> npt.NDArray[np.float64]:
    """Sum up how a response relates to its problem.

    Args:
        question: The problem.
        response: The response to it.

    Returns:
        [16] float64, in the order of `OVERLAP_FEATURES`.
    """
    question, response = question[:_MAX_CHARACTERS], response[:_MAX_CHARACTERS]
    asked = [word.casefold() for word in _WORD.findall(question)]
    said = [word.casefold() for word in _WORD.findall(response)]
    words = [word for word in said if not word[0].isdigit()]
    letters = [character for character in response if character.isalpha()]
    plain = [character for character in letters if character.isascii()]
    first = said[:_FIRST_WORDS]
    longer = {word for word in asked if len(word) > 3 and not word[0].isdigit()}
    runs_said, runs_asked = _runs(said), _runs(asked)
    start = response[:_FIRST_CHARACTERS].encode("utf-8", "surrogatepass")
    values = {
        "words": math.log1p(len(said)),
        "relative_length": math.log((1 + len(said)) / (1 + len(asked))),
        "response_shared": _share(set(said), set(asked)),
        "question_shared": _share(longer, set(said)),
        "runs_shared": _share(runs_said, runs_asked),
        "question_copied": _share(runs_asked, runs_said),
        "distinct": len(set(first)) / max(len(first), 1),
        "most_common": Counter(said).most_common(1)[0][1] / len(said) if said else 1.0,
        "compressed": min(len(zlib.compress(start)) / max(len(start), 1), 2.0),
        "numbers": 1 - len(words) / max(len(said), 1),
        "signs": sum(not (c.isalnum() or c.isspace()) for c in response) / max(len(response), 1),
        "foreign": 1 - len(plain) / max(len(letters), 1),
        "word_length": min(sum(map(len, words)) / max(len(words), 1), 20.0),
        "vowels": sum(c in "aeiouAEIOU" for c in plain) / max(len(plain), 1),
        "common": sum(word in _COMMON for word in words) / max(len(words), 1),
        "ended": float(_END.search(response[-20:]) is not None),
    }
    return np.array([values[name] for name in OVERLAP_FEATURES])


def _runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[n : n + _RUN]) for n in range(len(words) - _RUN + 1)}


def _share(part: AbstractSet[object], whole: AbstractSet[object]) -> float:
    """The share of a set's members that another holds; 0 of an empty set."""
    return len(part & whole) / len(part) if part else 0.0

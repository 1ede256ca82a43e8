"""Which rows are about the same problem: folds, intervals and training data go by problem."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Id = TypeVar("Id", bound=Hashable)

# What our tasks and lm_eval's own put around a problem, in lower case without quotes.
_TEMPLATES = re.compile(
    r"put the final answer in \\boxed\{\}\."
    r"|\A\s*(?:question|problem|what is the correct answer to this question):"
    # White space of its own line only: from each of many empty lines it would read all that follow.
    r"|^[^\S\n]*choices:[^\S\n]*$"
    # The letters of options: a letter of its own in brackets at the head of a line.
    r"|^[^\S\n]*\([a-h]\)(?=\s)"
    r"|(?:answer|solution|lets think step by step):?\s*\Z",
    re.MULTILINE,
)
_QUOTES = re.compile("[\"'`´‘’‚‛“”„‟«»‹›′″]")
# Runs of letters, runs of digits and single signs, wherever white space stands between them.
_PIECES = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")


def problem_identity(question: str) -> str:
    """Name a problem in whatever form it is written: folds and training data go by this name.

    Case, quotes, white space, Unicode form, the order of the words (options are shuffled) and what
    our tasks put around a problem (instruction, letters of options) make no difference.

    Returns:
        16 hexadecimal digits.
    """
    text = unicodedata.normalize("NFKC", question).casefold()
    text = unicodedata.normalize("NFKC", _QUOTES.sub("", text))
    # Characters that cannot be seen, such as soft hyphens and joiners.
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    pieces = sorted(_PIECES.findall(_TEMPLATES.sub(" ", text)))
    name = "\n".join(pieces).encode("utf-8", "surrogatepass")
    return hashlib.sha256(name).hexdigest()[:16]


def problem_key(question: str) -> str:
    """Name a problem without telling it, so that a card can say what a probe was trained on.

    Returns:
        12 hexadecimal digits, the same in whatever order the words stand: the options of a
        multiple-choice question are shuffled anew for each run.
    """
    words = " ".join(sorted(question.split()))
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def problem_names(ids: Sequence[str], questions: Sequence[str]) -> list[str]:
    """Name the problem of each row: rows share a problem if they share the id or the words.

    Files give one problem several ids, once for each order of its options, for example. Left apart,
    such rows would stand on both sides of a split.

    Args:
        ids: What the file calls each row's problem.
        questions: The problems' text.

    Returns:
        For each row the id of the first row with the same problem.
    """
    return joined_problems(ids, [problem_key(question) for question in questions])[0]


def joined_problems(ids: Sequence[Id], keys: Sequence[str]) -> tuple[list[Id], NDArray[np.intp]]:
    """Say which rows share a problem; see `problem_names`.

    Args:
        ids: What names each row's problem.
        keys: The `problem_key` of each row.

    Returns:
        For each row the id of the first row with the same problem, and the problem's number, in
        the order in which problems first occur.
    """
    # Imported here because it takes longer than all else of the parser, which needs none of it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    marks = [*(("id", id_) for id_ in ids), *(("words", key) for key in keys)]
    nodes = {mark: node for node, mark in enumerate(dict.fromkeys(marks))}
    edges = np.array([nodes[mark] for mark in marks], dtype=np.intp).reshape(2, -1)
    graph = coo_array((np.ones(len(ids)), edges), shape=(len(nodes), len(nodes)))
    _, components = connected_components(graph, directed=False)
    first: dict[int, int] = {}
    names: list[Id] = []
    codes = np.empty(len(ids), dtype=np.intp)
    for row, id_ in enumerate(ids):
        component = int(components[edges[0, row]])
        if component not in first:
            first[component] = len(names)
            names.append(id_)
        codes[row] = first[component]
    return [names[code] for code in codes], codes

"""Which rows are about the same problem: folds, intervals and training data go by problem."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


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
    marks = [*(("id", id_) for id_ in ids), *(("words", problem_key(q)) for q in questions)]
    nodes = {mark: node for node, mark in enumerate(dict.fromkeys(marks))}
    edges = np.array([nodes[mark] for mark in marks]).reshape(2, -1)
    graph = coo_array((np.ones(len(ids)), edges), shape=(len(nodes), len(nodes)))
    _, components = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    return [first.setdefault(components[nodes["id", id_]], id_) for id_ in ids]

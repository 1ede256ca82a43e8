"""Rubrics of similar problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from inspector_plugin.schema.rubrics import RubricItem, normal_text

_LEAST_ALIKE = 0.05


@dataclass(frozen=True)
class StoredRubric:
    """The items for a problem whose text is known.

    Attributes:
        problem: The problem's name by `problem_identity`.
        question: Its text.
        items: The items.
    """

    problem: str
    question: str
    items: tuple[RubricItem, ...]


def nearest(
    problems: Sequence[tuple[str, str]], stored: Sequence[StoredRubric], count: int
) -> list[list[tuple[RubricItem, ...]]]:
    """Find the rubrics of the problems that are most alike in their words.

    Args:
        problems: Name (by `problem_identity`) and text of each problem.
        stored: The rubrics to choose from; a problem's own is never chosen for it.
        count: The most rubrics for each problem.

    Returns:
        For each problem the items of its nearest rubrics, the most similar first, by the cosine of
        TF-IDF vectors; those of problems that share next to no words are left out.
    """
    if not stored or not problems:
        return [[] for _ in problems]
    vectorizer = TfidfVectorizer(analyzer=lambda text: normal_text(text).split(), sublinear_tf=True)
    vectors = vectorizer.fit_transform(
        [each.question for each in stored] + [t for _, t in problems]
    )
    alike = (vectors[len(stored) :] @ vectors[: len(stored)].T).toarray()
    found = []
    for row, (name, _) in enumerate(problems):
        order = np.argsort(-alike[row], kind="stable")
        near = [
            stored[place].items
            for place in order
            if stored[place].problem != name and alike[row, place] >= _LEAST_ALIKE
        ]
        found.append(near[:count])
    return found

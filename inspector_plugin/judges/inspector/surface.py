"""The surface baseline: what length, format and word choice alone say about a score.

A probe that does not beat it reads the format, not the quality. It is fitted in the same folds as
the probe that it stands beside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inspector_plugin.judges.inspector.classifiers import Array

_PATTERNS = {
    "digits": r"\d",
    "numbers": r"\d[\d,.]*",
    "equal_signs": r"=",
    "operators": r"[+*/×÷^-]",
    # Not \s* before the sign: from each of many empty lines it would read all that follow.
    "list_items": r"(?m)^[^\S\n]*(?:\d+[.)]|[-*•])\s",
    "bold_marks": r"\*\*",
    "latex_commands": r"\\[A-Za-z]+",
    "boxed_answers": r"\\boxed",
    "questions": r"\?",
    "sentences": r"[.!?](?:\s|$)",
}


SURFACE_COUNTS = ("characters", "words", "lines", "paragraphs", *_PATTERNS)


def surface_counts(responses: Sequence[str]) -> Array:
    """Count lengths and marks of format in responses.

    Returns:
        [responses, 14] float64: characters, words, lines, paragraphs, and ten kinds of marks.
    """
    rows = []
    for response in responses:
        lengths = [
            len(response),
            len(response.split()),
            response.count("\n") + 1,
            len(re.findall(r"\n\s*\n", response)) + 1,
        ]
        rows.append(lengths + [len(re.findall(p, response)) for p in _PATTERNS.values()])
    return np.array(rows, dtype=np.float64)


def predict_from_counts(train: Sequence[str], labels: Array, test: Sequence[str]) -> Array:
    """Predict labels from length and format counts by logistic regression.

    Args:
        train: Responses to fit on.
        labels: Their labels.
        test: Responses to predict.

    Returns:
        The predicted labels, [test].
    """
    estimator = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    estimator.fit(np.log1p(surface_counts(train)), labels)
    predicted: Array = estimator.predict(np.log1p(surface_counts(test)))
    return predicted


def predict_from_words(train: Sequence[str], labels: Array, test: Sequence[str]) -> Array:
    """Predict labels from TF-IDF of words and word pairs by logistic regression.

    Args and return value are those of `predict_from_counts`. A word is any run of word characters,
    so that a response of digits alone has words too.
    """
    estimator = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]", sublinear_tf=True),
        LogisticRegression(C=10, class_weight="balanced", max_iter=2000),
    )
    estimator.fit(train, labels)
    predicted: Array = estimator.predict(test)
    return predicted

"""Fit the weights by which the inspector judge knows sentences that speak to the judge.

    OMP_NUM_THREADS=1 python benchmarks/addresses/make_weights.py DATA

Writes inspector_plugin/judges/inspector/addresses.json, and prints what the weights fitted to four
fifths of the problems leave out of the responses to the others, and of data that no weights are
fitted to. The sentences that speak to the judge are put together from the lists beside this file;
none is taken from an audit or the sanity suite. The others are those of solutions, problems and
prose in DATA, a folder with gsm8k/, math/, planted/, reference/ and human/ (docs/RESULTS.md), and
some that come near in words.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from texts import made_sentences

from inspector_plugin.judges.inspector.addresses import (
    WEIGHTS,
    AddressWeights,
    sentences,
    speaking_sentences,
    word_features,
)
from inspector_plugin.judges.inspector.arithmetic import strip_annotations

SEED, FOLDS, HELD_OUT = 0, 5, 0
TO_THE_JUDGE, NEAR = 200, 400  # drawn from each template
FEWEST, INVERSE_PENALTY, SMALLEST = 4, 0.7, 0.15

# Where the texts stand: file, field that names the problem, fields that hold texts.
FITTED = (
    ("gsm8k/train.jsonl", "question", ("question", "answer")),
    ("gsm8k/model_solutions.jsonl.gz", "question", ("response",)),
    ("math/train.jsonl.gz", "problem", ("problem", "solution")),
    ("planted/prmbench.jsonl.gz", "question", ("response", "planted")),
    ("planted/perturbation.jsonl.gz", "question", ("response", "planted")),
    ("reference/gsm8k.deepseek-v3.jsonl", "question", ("response",)),
    ("reference/vicuna.gpt-4.jsonl", "question", ("response",)),
    ("human/helpsteer2.jsonl.gz", "question", ("response",)),
    ("human/llmbar.jsonl.gz", "question", ("responses",)),
)
NEVER_FITTED = (
    ("gsm8k/test.jsonl", "question", ("answer",)),
    ("math/test.jsonl.gz", "problem", ("solution",)),
    ("reference/gpqa.deepseek-v3.jsonl.gz", "question", ("response",)),
)


class Text(NamedTuple):
    """A text of a data set, and the fold of its problem."""

    file: str
    fold: int
    text: str


def main() -> None:
    """Fit, print figures, write the weights."""
    data = Path(sys.argv[1])
    fitted = [each for source in FITTED for each in read_texts(data, *source)]
    others = [each for source in NEVER_FITTED for each in read_texts(data, *source)]
    held_out = [each for each in fitted if each.fold == HELD_OUT]
    rest = [each for each in fitted if each.fold != HELD_OUT]
    print_left_out("not fitted to", held_out + others, fit(rest))
    weights = fit(fitted)
    print_left_out("weights that ship", fitted + others, weights)
    write(weights)


def read_texts(data: Path, file: str, problem: str, fields: Sequence[str]) -> Iterator[Text]:
    """The different texts of a file."""
    opened = gzip.open if file.endswith(".gz") else open
    with opened(data / file, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    seen = set()
    for row in rows:
        digest = hashlib.sha256(" ".join(row[problem].casefold().split()).encode()).digest()
        for field in fields:
            texts = row[field] if isinstance(row[field], list) else [row[field]]
            for text in texts:
                if text not in seen:
                    seen.add(text)
                    yield Text(f"{file} {field}", digest[0] % FOLDS, strip_annotations(text))


def fit(texts: Sequence[Text]) -> AddressWeights:
    """Weights that tell made sentences that speak to a judge from the sentences of texts."""
    ours = made_sentences("to_the_judge.txt", TO_THE_JUDGE, SEED)
    near = made_sentences("of_the_problem.txt", NEAR, SEED)
    real = {each.strip() for text in texts for each in sentences(text.text)} - {""}
    told_apart = [*sorted(real), *near, *ours]
    labels = np.repeat([0, 1], [len(real) + len(near), len(ours)])
    vectorizer = CountVectorizer(analyzer=_features, min_df=FEWEST)
    features = vectorizer.fit_transform(told_apart)
    model = LogisticRegression(C=INVERSE_PENALTY, solver="liblinear", random_state=SEED)
    model.fit(features, labels)
    print(f"{len(real)} sentences, {len(near)} near, {len(ours)} to the judge")
    named = zip(vectorizer.get_feature_names_out(), model.coef_[0], strict=True)
    kept = {name: round(float(weight), 2) for name, weight in named if abs(weight) >= SMALLEST}
    return AddressWeights(round(float(model.intercept_[0]), 2), dict(sorted(kept.items())))


def _features(sentence: str) -> list[str]:
    return [each for new in word_features(sentence) for each in new]


def print_left_out(title: str, texts: Sequence[Text], weights: AddressWeights) -> None:
    """How many texts of each kind lose a sentence."""
    print(f"{title}: {len(weights.weights)} weights")
    of, lost = Counter(each.file for each in texts), Counter[str]()
    for text in texts:
        lost[text.file] += any(speaking_sentences(sentences(text.text), weights))
    for file, count in of.items():
        print(f"    {file}: {lost[file]} of {count}")


def write(weights: AddressWeights) -> None:
    """One weight a line."""
    text = json.dumps(weights._asdict(), ensure_ascii=True, indent=0)
    WEIGHTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

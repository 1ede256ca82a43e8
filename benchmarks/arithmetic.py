"""Measure what checked arithmetic says about real and planted errors, as Markdown tables.

    OMP_NUM_THREADS=1 python benchmarks/arithmetic.py DATA

DATA is the folder with gsm8k/model_solutions.jsonl.gz, planted/perturbation.jsonl.gz and
gsm8k/train.jsonl. AUC: logistic regression in 5 folds by problem, 95% bootstrap interval that
draws problems.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inspector_plugin.agreement.bootstrap import estimate, resamples_of
from inspector_plugin.judges.inspector.arithmetic import (
    ARITHMETIC_FEATURES,
    arithmetic_features,
    check_arithmetic,
    strip_annotations,
)

FOLDS, SEED, RESAMPLES = 5, 0, 1000
CALCULATIONS = ("random number", "random operation")


def main() -> None:
    """Print all tables."""
    data = Path(sys.argv[1])
    model_solutions(read(data / "gsm8k" / "model_solutions.jsonl.gz"))
    planted(read(data / "planted" / "perturbation.jsonl.gz"))
    right_solutions(read(data / "gsm8k" / "train.jsonl"))


def read(path: Path) -> list[dict[str, Any]]:
    """Read a JSON Lines file."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [json.loads(line) for line in file]


def model_solutions(rows: list[dict[str, Any]]) -> None:
    """AUC for whether a solution is right: lengths, arithmetic, both; within a model too."""
    right = np.array([row["is_correct"] for row in rows])
    problems = np.unique([row["question"] for row in rows], return_inverse=True)[1]
    models = np.array([row["model"] for row in rows])
    print(f"AUC for is_correct, {len(rows)} solutions of {problems.max() + 1} problems\n")
    print("| text | features | AUC | mean within a model |\n| --- | --- | --- | --- |")
    for name, annotated in (("as they are", True), ("annotations stripped", False)):
        texts = [r["response"] if annotated else strip_annotations(r["response"]) for r in rows]
        lengths = np.log1p([[len(t), len(t.split()), t.count("\n") + 1] for t in texts])
        began = time.perf_counter()
        arithmetic = np.array(
            [arithmetic_features(row["question"], t) for row, t in zip(rows, texts, strict=True)]
        )
        seconds = time.perf_counter() - began
        for label, features in (
            ("lengths", lengths),
            ("arithmetic", arithmetic),
            ("both", np.hstack([lengths, arithmetic])),
        ):
            scores = cross_fitted(features, right, problems)
            drawn = [auc(right[i], scores[i]) for i in resamples_of(problems, SEED, RESAMPLES)]
            found = estimate(auc(right, scores), np.array(drawn))
            assert found is not None
            inside = [auc(right[models == m], scores[models == m]) for m in np.unique(models)]
            print(
                f"| {name} | {label} | {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] "
                f"| {np.mean(inside):.3f} |"
            )
        alone = {n: auc(right, arithmetic[:, k]) for k, n in enumerate(ARITHMETIC_FEATURES)}
        print(f"\nEach alone, {name}: " + ", ".join(f"{n} {v:.2f}" for n, v in alone.items()))
        print(f"{1000 * seconds / len(rows):.2f} ms a response\n")


def cross_fitted(
    features: np.ndarray[Any, Any], right: np.ndarray[Any, Any], problems: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Probabilities of rows by models that were fitted without their problems."""
    scores = np.empty(len(right))
    for fit, held_out in GroupKFold(FOLDS).split(features, right, problems):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        model.fit(features[fit], right[fit])
        scores[held_out] = model.predict_proba(features[held_out])[:, 1]
    return scores


def auc(right: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """Area under the ROC curve; NaN if all are of one kind."""
    return float(roc_auc_score(right, scores)) if 0 < right.sum() < len(right) else float("nan")


def planted(rows: list[dict[str, Any]]) -> None:
    """Share of planted pairs that the checker tells apart."""
    print("| error | pairs | planted wrong, right one not | more wrong | fewer wrong "
          "| inside a decided equation | of these found |")  # fmt: skip
    print("|" + " --- |" * 7)
    for errors in (CALCULATIONS[:1], CALCULATIONS[1:], CALCULATIONS):
        pairs = [row for row in rows if row["error"] in errors]
        only = more = fewer = inside = found = 0
        for row in pairs:
            before, after = check_arithmetic(row["response"]), check_arithmetic(row["planted"])
            counts = [sum(e.holds is False for e in r.equations) for r in (before, after)]
            only += counts[0] == 0 < counts[1]
            more += counts[1] > counts[0]
            fewer += counts[1] < counts[0]
            place = first_difference(row["response"], row["planted"])
            touched = any(
                e.start <= place <= e.end and e.holds and (e.computed or e.left != e.right)
                for e in before.equations
            )
            inside += touched
            found += touched and counts[1] > counts[0]
        n = len(pairs)
        print(f"| {' or '.join(errors)} | {n} | {only} ({only / n:.0%}) | {more} | {fewer} "
              f"| {inside} | {found} |")  # fmt: skip
    print()


def first_difference(left: str, right: str) -> int:
    """Offset of the first character that differs."""
    pairs = zip(left, right, strict=False)
    shorter = min(len(left), len(right))
    return next((n for n, (a, b) in enumerate(pairs) if a != b), shorter)


def right_solutions(rows: list[dict[str, Any]]) -> None:
    """How often the checker finds a wrong equation in GSM8K's own solutions, and planted ones."""
    random = np.random.default_rng(SEED)
    alarms = planted_rows = found = equations = 0
    for row in rows:
        text = strip_annotations(row["answer"].partition("####")[0])
        report = check_arithmetic(text)
        equations += len(report.decided)
        alarms += report.first_wrong is not None
        right = [e for e in report.equations if e.holds and e.computed and e.right == e.left]
        if report.first_wrong is None and right:
            equation = right[int(random.integers(len(right)))]
            start, end = equation.result
            changed = text[start:end].lstrip("$ ")
            if changed.isdecimal():
                planted_rows += 1
                other = str(int(changed) + int(random.integers(1, 10)))
                wrong = text[:start] + text[start:end].replace(changed, other) + text[end:]
                found += check_arithmetic(wrong).first_wrong is not None
    print(f"GSM8K's own solutions (train): {len(rows)}, {equations} decided equations; "
          f"a wrong equation in {alarms} ({alarms / len(rows):.1%}); a changed result is found in "
          f"{found} of {planted_rows} ({found / planted_rows:.1%})")  # fmt: skip


if __name__ == "__main__":
    main()

"""Training on too little, on the same problem twice, on text that is none, and twice at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_training import train, write_scored

from inspector_plugin.data.files import locked
from inspector_plugin.data.folds import split
from inspector_plugin.data.scored_rows import ScoredRow
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.inspector import training
from inspector_plugin.judges.inspector.classifiers import fit_classifier
from inspector_plugin.judges.inspector.packs import read_card
from inspector_plugin.judges.inspector.plan import ClassifierSettings, TrainingPlan
from inspector_plugin.judges.inspector.representation import Representation
from inspector_plugin.judges.inspector.selection import Grid, Rows, nested_probabilities
from inspector_plugin.judges.inspector.training import why_not_trainable
from inspector_plugin.judges.lager.plan import TuningPlan
from inspector_plugin.schema import MULTICLASS
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS

FLUENCY = ROSCOE[ROSCOE_KEYS.index("fluency")]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["linear_svm", "rbf_svm"])
def test_the_temperature_is_fitted_on_other_problems(kind: str) -> None:
    """Labels are a coin's toss for each problem, so that nothing can be learnt of another one."""
    random = np.random.default_rng(0)
    problems, copies = 40, 4
    features = np.repeat(random.normal(size=(problems, 30)), copies, axis=0)
    features += 0.01 * random.normal(size=features.shape)
    labels = np.repeat(np.arange(problems) % 2, copies)
    groups = np.repeat(np.arange(problems), copies)
    settings = ClassifierSettings(kind, 1.0)
    (leaking,) = fit_classifier(settings, features, labels, 0).arrays["temperature"]
    (grouped,) = fit_classifier(settings, features, labels, 0, groups).arrays["temperature"]
    # The likeliest temperature of what knows nothing is as high as may be: probabilities of 1/2.
    assert grouped > 5 * leaking


@pytest.mark.parametrize("kind", ["linear_svm", "rbf_svm"])
def test_without_problems_to_hold_out_there_is_no_temperature(kind: str) -> None:
    features = np.random.default_rng(0).normal(size=(12, 3))
    labels = np.arange(12) % 3
    groups = np.where(labels == 2, 0, np.arange(12) + 1)
    probe = fit_classifier(ClassifierSettings(kind, 1.0), features, labels, 0, groups)
    assert probe.arrays["temperature"].tolist() == [1.0]
    assert probe.probabilities(features).shape == (12, 3)


def rows_of(labels: list[int], problems: list[int]) -> list[ScoredRow]:
    return [
        ScoredRow(f"p{problem}", f"Problem {problem}?", f"r{n}", FLUENCY, label, MULTICLASS)
        for n, (label, problem) in enumerate(zip(labels, problems, strict=True))
    ]


def test_what_counts_as_trainable_can_be_trained() -> None:
    """Small data of every kind: it is refused with a reason, or every fold can be fitted."""
    plan = TrainingPlan("mine", folds=2)
    representation = Representation(0, "all", "mean")
    settings = (ClassifierSettings("linear_svm", 0.1), ClassifierSettings("rbf_svm", 1.0))
    grid = Grid((representation,), settings, members=1, folds=plan.folds)
    trained = refused = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        count = int(random.integers(20, 60))
        labels = random.integers(1, 6, count).tolist()
        problems = random.integers(0, random.integers(5, count), count).tolist()
        if why_not_trainable(rows_of(labels, problems), FLUENCY, plan) is not None:
            refused += 1
            continue
        features = random.normal(size=(count, 4)).astype(np.float32)
        indices, groups = np.array(labels) - 1, np.array([f"p{each}" for each in problems])
        rows = Rows(lambda _, features=features: features, indices, groups)  # type: ignore[misc]
        folds = split(indices, groups, plan.folds, plan.seed)
        probabilities = nested_probabilities(rows, grid, folds, plan.seed)
        assert probabilities.shape == (count, 5)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        trained += 1
    assert trained >= 5
    assert refused >= 5


def test_a_fold_without_a_label_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [1, 2, 3, 4, 5] * 8
    rows = rows_of(labels, list(range(40)))
    plan = TrainingPlan("mine", folds=2)
    assert why_not_trainable(rows, FLUENCY, plan) is None
    everything = np.arange(40)
    fifth = everything[np.array(labels) == 5]
    unlucky = [(np.setdiff1d(everything, fifth), fifth)]
    monkeypatch.setattr(training, "split", lambda *_: unlucky)
    reason = why_not_trainable(rows, FLUENCY, plan)
    assert reason is not None
    assert "without a row of every label" in reason


def test_folds_of_labels_that_are_all_rare_are_made() -> None:
    folds = split(np.arange(5), np.arange(5), 5, seed=0)
    assert sorted(row for _, test in folds for row in test.tolist()) == [0, 1, 2, 3, 4]


def test_a_row_that_no_tokenizer_takes_is_left_out(tmp_path: Path, tiny_lm: Path) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    lines = data.read_text().splitlines(keepends=True)
    for place, field in ((0, "response"), (20, "question")):
        row = json.loads(lines[place])
        lines[place] = json.dumps({**row, field: row[field] + "\ud800"}) + "\n"
    data.write_text("".join(lines))
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 0
    card = read_card(next((tmp_path / "out").glob("*/gsm8k/binary")))
    assert card["criteria"]["fluency"]["rows"] == len(lines) - 2


def test_two_trainings_of_one_pack_are_not_mixed(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    folder = tmp_path / "out" / tiny_lm.name / "gsm8k" / "binary"
    with locked(folder):
        assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 1
    assert "is being written by another process" in capsys.readouterr().err.splitlines()[-1]
    assert not folder.exists()


@pytest.mark.parametrize("seed", [-1, 2**32, 10**400])
def test_seeds_that_no_generator_takes_are_refused(seed: int) -> None:
    for make in (lambda: TrainingPlan("mine", seed=seed), lambda: TuningPlan(seed=seed)):
        with pytest.raises(OptionError, match="--seed must be from 0 to 4294967295"):
            make()


@pytest.mark.parametrize(
    "numbers",
    [
        {"epochs": 0},
        {"epochs": 10**400},
        {"learning_rate": float("inf")},
        {"learning_rate": float("nan")},
        {"rows_per_step": -1},
    ],
)
def test_tuning_takes_sensible_numbers_only(numbers: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        TuningPlan(**numbers)  # type: ignore[arg-type]

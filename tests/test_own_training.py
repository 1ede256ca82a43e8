"""Training probes on criteria, scales and data sets of one's own, without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector_plugin.data.problems import problem_key
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256
from inspector_plugin.judges.inspector.figures import label_indices
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.pack_folders import pack_folder
from inspector_plugin.judges.inspector.packs import read_card, write_probe
from inspector_plugin.judges.inspector.plan import ClassifierSettings, TrainingPlan
from inspector_plugin.judges.inspector.training import (
    card_head,
    extract_features,
    train_probes,
    why_not_trainable,
)
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.feature_store import FeatureStore
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.schema import BINARY, MULTICLASS, ROSCOE, Criterion, JudgeRequest, Scale
from inspector_plugin.testing import OTHER_CRITERIA

CARE, ANSWERED = OTHER_CRITERIA  # on 1-7, and on 0-1
PLAN = TrainingPlan(
    "mine",
    folds=3,
    members=1,
    layer_step=2,
    classifiers=(ClassifierSettings("logistic_regression"),),
)
BINARY_PLAN = replace(PLAN, labels="binary")


def rows_of(
    criterion: Criterion, scores: Sequence[float], scale: Scale | None = None
) -> list[ScoredRow]:
    """A problem for each score; the score shows in the response."""
    return [
        ScoredRow(
            str(number),
            f"What is {number} + {score}?",
            "So it is. " * (number % 3) + "yes " * int(2 * score) + f"{number + score}.",
            criterion,
            score,
            scale or criterion.scale,
        )
        for number, score in enumerate(scores)
    ]


def every(labels: Sequence[float], problems: int) -> list[float]:
    return [float(label) for label in labels for _ in range(problems)]


def test_a_label_of_too_few_problems_is_named_and_counted() -> None:
    enough = rows_of(CARE, every(CARE.scale.labels, 5))
    assert why_not_trainable(enough, CARE, PLAN) is None
    fewer = [row for row in enough if row.id != "15"]  # a row of label 4
    assert fewer != enough
    assert why_not_trainable(fewer, CARE, PLAN) == (
        "label 4 occurs in 4 problems, and 3 folds need at least 5; give more rows, or fewer folds"
    )
    assert why_not_trainable(fewer, CARE, replace(PLAN, folds=2)) is None
    # Another response to a problem is no other problem.
    again = replace(fewer[15], response="Another.")
    assert again.label == 4
    assert "label 4 occurs in 4 problems" in str(why_not_trainable([*fewer, again], CARE, PLAN))
    # Low (1 to 4) and high (5 to 7) occur often enough all the same.
    assert why_not_trainable(fewer, CARE, BINARY_PLAN) is None
    # What a judge would not be asked about does not count.
    for empty in (replace(enough[15], response=" "), replace(enough[15], question="\n")):
        assert "in 4 problems" in str(why_not_trainable([*fewer, empty], CARE, PLAN))


def test_rows_on_another_criterion_do_not_count() -> None:
    enough = rows_of(CARE, every(CARE.scale.labels, 5))
    reworded = replace(CARE, definition="Something else.")
    for other in (ANSWERED, ROSCOE[0], reworded):
        assert why_not_trainable(enough, other, PLAN) == "no row is scored on it"


def test_low_and_high_alone_train_no_wider_scale() -> None:
    rows = rows_of(CARE, every((0, 1), 20), scale=BINARY)
    assert why_not_trainable(rows, CARE, PLAN) == (
        "some scores are low/high quality only, and the labels are 1-7"
    )
    assert why_not_trainable(rows, CARE, BINARY_PLAN) is None


def test_a_half_trains_as_the_label_above_it() -> None:
    fluency = ROSCOE[3]
    five = rows_of(fluency, [*every((1, 2, 4, 5), 5), *every((2.5,), 5)])
    assert why_not_trainable(five, fluency, PLAN) is None
    without = [*five[:-1], replace(five[-1], score=2.4)]
    assert "label 3 occurs in 4 problems" in str(why_not_trainable(without, fluency, PLAN))
    assert list(label_indices(rows_of(fluency, [2.4, 2.5, 3.5, 4.5]), MULTICLASS)) == [1, 2, 3, 4]
    assert list(label_indices(rows_of(CARE, [1, 1.5, 6.4, 6.5, 7]), CARE.scale)) == [0, 1, 5, 6, 6]


def test_binary_labels_go_by_the_score_above_the_midpoint() -> None:
    """The midpoint of 1-7 is 4, of 1-5 it is 3; 3.2 is high though its label is 3."""
    care = rows_of(CARE, [1, 3.5, 4, 4.1, 7])
    assert list(label_indices(care, BINARY)) == [0, 0, 0, 1, 1]
    assert list(label_indices(rows_of(ROSCOE[3], [2.5, 3, 3.2, 3.5]), BINARY)) == [0, 0, 1, 1]
    # Scores that are low/high already keep their labels.
    assert list(label_indices(rows_of(CARE, [0, 1], scale=BINARY), BINARY)) == [0, 1]
    assert list(label_indices(rows_of(ANSWERED, [0, 0.4, 0.5, 1]), BINARY)) == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def lm(tiny_lm: Path) -> LanguageModel:
    return load_language_model(str(tiny_lm))


def train(
    folder: Path, lm: LanguageModel, rows: Sequence[ScoredRow], plan: TrainingPlan, store: Path
) -> Path:
    criteria = dict.fromkeys(row.criterion for row in rows)
    data = [extract_features(rows, each, lm, plan, FeatureStore(store)) for each in criteria]
    pack = pack_folder(folder, lm.name, plan.dataset, plan.labels)
    for probe in train_probes(data, plan):
        write_probe(pack, card_head(lm, plan, data_sha256(rows)), probe)
    return pack


def judged(folder: Path, lm: LanguageModel, rows: Sequence[ScoredRow], labels: str) -> list[float]:
    """The scores of rows, each on its own criterion."""
    options = InspectorOptions(model=lm.name, probes=str(folder), labels=labels)
    requests = [JudgeRequest(r.question, r.response, (r.criterion,), "mine") for r in rows]
    with InspectorJudge(options) as judge:
        answers = judge_all(judge, requests, progress=False)
    found = [answer.scores[row.criterion.key] for answer, row in zip(answers, rows, strict=True)]
    assert all(score.flags == ("trained-on",) for score in found)
    scales = {score.scale for score in found}
    assert scales == {BINARY if labels == "binary" else row.criterion.scale for row in rows}
    return [score.score for score in found if score.score is not None]


def test_from_scores_on_ones_own_criteria_to_judgements(tmp_path: Path, lm: LanguageModel) -> None:
    rows = [
        *rows_of(CARE, every(CARE.scale.labels, 7)),
        *rows_of(ANSWERED, every((0, 1), 12)),
    ]
    pack = train(tmp_path, lm, rows, PLAN, tmp_path / "features")
    card = read_card(pack)
    assert list(card["criteria"]) == ["answered", "care"]
    assert card["criteria"]["care"]["fingerprint"] == CARE.fingerprint
    assert card["criteria"]["care"]["criterion"] == CARE.to_json()
    assert card["criteria"]["care"]["rows"] == 49
    for entry in card["criteria"].values():
        figures = entry["figures"]
        macro_f1 = figures["nested_cross_validation"]["macro_f1"]["value"]
        assert macro_f1 > 1.4 * figures["chance"]["macro_f1"]["value"]
    for criterion in OTHER_CRITERIA:
        own = [row for row in rows if row.criterion == criterion]
        scores = judged(tmp_path, lm, own, "multiclass")
        assert len(scores) == len(own)
        assert min(scores) >= criterion.scale.minimum
        assert max(scores) <= criterion.scale.maximum
        assert max(scores) > min(scores) + 0.6 * (criterion.scale.maximum - 1)
        assert np.corrcoef(scores, [row.score for row in own])[0, 1] > 0.9


def test_binary_probes_learn_what_lies_above_the_midpoint(
    tmp_path: Path, lm: LanguageModel
) -> None:
    rows = rows_of(CARE, every((1, 3.5, 4, 4.1, 6, 7), 7))
    pack = train(tmp_path, lm, rows, BINARY_PLAN, tmp_path / "features")
    assert read_card(pack)["labels"] == "binary"
    scores = judged(tmp_path, lm, rows, "binary")
    assert [score > 0.5 for score in scores] == [row.score > 4 for row in rows]


def test_problems_are_recorded_in_the_form_that_the_probe_reads(
    tmp_path: Path, lm: LanguageModel
) -> None:
    plan = replace(BINARY_PLAN, dataset="gpqa")
    plain = rows_of(ANSWERED, every((0, 1), 6))
    rows = [replace(r, question=f"{r.question}\n(A) 1\n(B) 2\n(C) 3\n(D) 4") for r in plain]
    pack = train(tmp_path, lm, rows, plan, tmp_path / "features")
    form = "{} Put the final answer in \\boxed{{}}.\n1\n2\n3\n4"
    expected = {problem_key(form.format(row.question)) for row in plain}
    assert set(read_card(pack)["criteria"]["answered"]["problem_keys"]) == expected

"""The parts of cross-fitted chains that weigh scores against flaws: tilt, temperature, probes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.scored_rows import ScoredRow
from inspector_plugin.judges.inspector.crossfit_calibration import (
    ORDERED,
    Planted,
    Scored,
    fit_calibration,
    least_tilt,
)
from inspector_plugin.judges.inspector.crossfit_data import TrainingData
from inspector_plugin.judges.inspector.crossfit_held_out import fit
from inspector_plugin.judges.inspector.crossfit_probes import COMMON_SHARE, ScoreProbes
from inspector_plugin.judges.inspector.crossfit_training import Fits, PackPlan
from inspector_plugin.judges.inspector.inputs import Inputs
from inspector_plugin.judges.inspector.training_texts import SCORED, TrainingText
from inspector_plugin.schema.criteria import MULTICLASS
from inspector_plugin.schema.roscoe import ROSCOE

HIDDEN = 6
LOGICALITY = next(criterion for criterion in ROSCOE if criterion.key == "logicality")


def planted(count: int, flawed: float, sound: float, against: int = 0) -> Planted:
    """Pairs with two labels: logits of the higher one, standings of -1 and 1.

    Of the pairs, some speak against the hurdle: their flawed ones stand higher.
    """
    standing = np.r_[np.ones(against), -np.ones(count - against)]
    logits = tuple(np.c_[np.zeros(count), np.full(count, each)] for each in (flawed, sound))
    return Planted((logits[0], logits[1]), (standing, -standing))


def test_the_tilt_is_the_least_that_orders_planted_flaws() -> None:
    # The logit of the higher label is x + 2 * tilt * standing: 1 - 2 t < 0 + 2 t from t = 1/4 on.
    found = least_tilt({"logicality": planted(20, 1.0, 0.0)}, 1.0, 0.0)
    assert 0.25 < found < 0.25 + 1.1 / 99
    # At a temperature of 2 the logits count half.
    found = least_tilt({"logicality": planted(20, 1.0, 0.0)}, 2.0, 0.0)
    assert 0.125 < found < 0.125 + 1.1 / 99
    # What the scores bear out is not taken back.
    assert least_tilt({"logicality": planted(20, 1.0, 0.0)}, 1.0, 0.6) == pytest.approx(0.6)


def test_a_share_of_planted_flaws_may_stay_in_the_wrong_order() -> None:
    allowed = round(20 * (1 - ORDERED))
    found = least_tilt({"logicality": planted(20, 1.0, 0.0, against=allowed)}, 1.0, 0.0)
    assert 0.25 < found < 0.27
    # Where no tilt orders enough of them, it is the greatest.
    found = least_tilt({"logicality": planted(20, 1.0, 0.0, against=allowed + 1)}, 1.0, 0.0)
    assert found == 1.0


def test_pairs_are_ordered_by_the_mean_of_the_criteria() -> None:
    # By sigmoids: .731 against .5 on the one, .5 against .881 on the other.
    pairs = {"logicality": planted(4, 1.0, 0.0), "factuality": planted(4, 0.0, 2.0)}
    assert least_tilt(pairs, 1.0, 0.0) == 0.0


def test_temperature_and_tilt_are_those_of_the_least_log_loss() -> None:
    random = np.random.default_rng(0)
    standing = random.normal(size=4000)
    logits = np.c_[np.zeros(4000), random.normal(size=4000) * 4]
    truth = logits / 2 + 0.3 * np.c_[-standing, standing]
    labels = (random.random(4000) < np.exp(log_softmax(truth, axis=1)[:, 1])).astype(np.int64)
    temperature, tilt = fit_calibration([Scored(labels, logits, standing)])
    assert temperature == pytest.approx(2.0, abs=0.2)
    assert tilt == pytest.approx(0.3, abs=0.05)


def scored_data(planted_flaws: bool = True) -> TrainingData:
    """Solutions scored by their second state; flawed ones have a high first state.

    The second state of the flawed ones is high as well: a probe alone takes them for better.
    """
    random = np.random.default_rng(0)
    texts, states = [], []
    for number in range(240):
        question = f"What is {number} plus {number % 7}?"
        label = int(random.integers(1, 6))
        row = ScoredRow(str(number), question, "Text.", LOGICALITY, float(label), MULTICLASS)
        base = random.normal(size=3 * HIDDEN)
        made = [None, "word_repeated"] + ["calculation_wrong"] * planted_flaws
        for kind in made:
            texts.append(
                TrainingText(
                    question,
                    "Text.",
                    (problem_identity(question),),
                    "tiny",
                    SCORED,
                    kind=kind,
                    scores={} if kind else {"logicality": row},
                )
            )
            state = base.copy()
            state[0] += {None: 0.0, "word_repeated": 4.0, "calculation_wrong": 1.0}[kind]
            state[1] += label + 0.3 * (kind == "calculation_wrong")
            states.append(state)
    inputs = Inputs(np.array(states), [t.question for t in texts], [t.response for t in texts])
    return TrainingData(tuple(texts), inputs)


def test_planted_calculations_score_lower_on_problems_never_seen() -> None:
    plan = PackPlan("tiny", "tiny", "multiclass", ("logicality",))
    data = scored_data()
    chain = Fits(data, plan).chain(frozenset({0}))
    held_out = np.flatnonzero(data.folds == 0)
    expected = chain.probabilities(data.inputs.part(held_out), "logicality") @ np.arange(5)
    kinds = np.array([str(data.texts[row].kind) for row in held_out])
    lower = expected[kinds == "calculation_wrong"] < expected[kinds == "None"]
    assert lower.mean() >= 0.75
    without = Fits(scored_data(planted_flaws=False), plan).chain(frozenset({0}))
    assert chain.criteria["logicality"].tilt > without.criteria["logicality"].tilt


def test_a_probe_is_its_own_model_and_a_share_of_what_all_scores_have_in_common() -> None:
    data = scored_data()
    own = data.labels("logicality", "multiclass", "tiny")
    even = np.arange(len(own)) % 2 == 0
    labels = {
        "logicality": np.where(even, own, -1),
        "fluency": np.where(even, -1, own),
        "binary": np.where(own >= 0, own // 3, -1),
    }
    probes = ScoreProbes(data, labels)
    excluded = frozenset({1})
    seen, narrow = data.without(excluded), data.inputs.narrow
    rows = [seen & (labels[key] >= 0) for key in ("logicality", "fluency")]
    alone = fit(data.inputs, rows[0], own[rows[0]], 0.01, 1.0)
    both = np.r_[np.flatnonzero(rows[0]), np.flatnonzero(rows[1])]
    common = fit(data.inputs, both, own[both], 0.01, 1.0)
    expected = alone.logits(narrow) + COMMON_SHARE * common.logits(narrow)
    found = probes.probe("logicality", excluded, 0.01).logits(narrow)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    # A criterion with other labels has nothing to share.
    chosen = seen & (labels["binary"] >= 0)
    single = fit(data.inputs, chosen, labels["binary"][chosen], 0.01, 1.0)
    found = probes.probe("binary", excluded, 0.01).logits(narrow)
    np.testing.assert_allclose(found, single.logits(narrow), atol=1e-9)

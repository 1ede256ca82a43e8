"""Cross-fitted models: no score of a known problem comes from a model that saw it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from inspector_plugin.data.folds import fold_of
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.scored_rows import ScoredRow
from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.calibration import calibration, coverage_curve
from inspector_plugin.judges.inspector.crossfit import CriterionModel, CrossFitted, Hurdle
from inspector_plugin.judges.inspector.crossfit_data import TrainingData, layout_of
from inspector_plugin.judges.inspector.crossfit_familiarity import Familiarities
from inspector_plugin.judges.inspector.crossfit_packs import ARRAYS, write_cross_fitted
from inspector_plugin.judges.inspector.crossfit_training import (
    Fits,
    PackPlan,
    fit_chains,
)
from inspector_plugin.judges.inspector.inputs import TEXT_FEATURES, Inputs, Reading
from inspector_plugin.judges.inspector.linear import LinearModel, fit_linear
from inspector_plugin.judges.inspector.overlap import OVERLAP_FEATURES, overlap_features
from inspector_plugin.judges.inspector.packs import read_pack
from inspector_plugin.judges.inspector.probe import CrossFittedProbe
from inspector_plugin.judges.inspector.training_texts import (
    FOLDS,
    SCORED,
    SOLUTIONS,
    TrainingText,
    made_texts,
    scored_texts,
)
from inspector_plugin.lm.plan import LIKELIHOODS, TOKEN_LIKELIHOODS, Feature
from inspector_plugin.schema.correctness import CORRECTNESS
from inspector_plugin.schema.criteria import BINARY, MULTICLASS
from inspector_plugin.schema.records import CriterionScore, Judgement
from inspector_plugin.schema.roscoe import ROSCOE

HIDDEN = 6
FLUENCY = next(criterion for criterion in ROSCOE if criterion.key == "fluency")


def made_data(seed: int = 0) -> TrainingData:
    """Random states; high scores and real responses each have a direction of their own."""
    random = np.random.default_rng(seed)
    texts = []
    for number in range(300):
        question = f"What is {number} plus {number % 7}?"
        label = int(random.integers(1, 6))
        row = ScoredRow(str(number), question, "Some text.", FLUENCY, float(label), MULTICLASS)
        texts.append(
            TrainingText(
                question,
                f"It is {number + number % 7}.",
                (problem_identity(question),),
                "tiny",
                SCORED,
                correct=number % 3 > 0,
                kind="word_repeated" if number % 4 == 0 else None,
                scores={} if number % 4 == 0 else {"fluency": row},
            )
        )
    states = random.normal(size=(len(texts), 3 * HIDDEN))
    for index, text in enumerate(texts):
        states[index, 0] += 3.0 * (text.kind is not None)
        states[index, 1] += text.scores["fluency"].score if text.scores else 0.0
        states[index, HIDDEN] += 2.0 * bool(text.correct)
    inputs = Inputs(states, [t.question for t in texts], [t.response for t in texts])
    return TrainingData(tuple(texts), inputs)


@pytest.fixture(scope="module")
def fitted() -> tuple[TrainingData, CrossFitted]:
    data = made_data()
    plan = PackPlan("tiny", "tiny", "multiclass", ("fluency",))
    known = frozenset(text.problems[0] for text in data.texts)
    return data, CrossFitted(Reading(1), fit_chains(Fits(data, plan)), known)


def test_a_known_problem_is_judged_by_the_chain_that_never_saw_it(
    fitted: tuple[TrainingData, CrossFitted],
) -> None:
    data, models = fitted
    rows = np.arange(40)
    inputs = data.inputs.part(rows)
    found = models.probabilities(inputs, "fluency")
    for row in rows:
        own = models.chains[fold_of(data.texts[row].problems[0])]
        expected = own.probabilities(data.inputs.part(np.array([row])), "fluency")[0]
        np.testing.assert_allclose(found[row], expected)


def test_an_unknown_problem_is_judged_by_the_average_of_all_chains(
    fitted: tuple[TrainingData, CrossFitted],
) -> None:
    data, models = fitted
    inputs = Inputs(data.inputs.states[:1], ["Who wrote this?"], ["A person."])
    each = [chain.probabilities(inputs, "fluency")[0] for chain in models.chains]
    np.testing.assert_allclose(models.probabilities(inputs, "fluency")[0], np.mean(each, axis=0))


def test_nothing_of_a_chain_depends_on_the_fold_that_it_leaves_out(
    fitted: tuple[TrainingData, CrossFitted],
) -> None:
    data, models = fitted
    states = data.inputs.states.copy()
    states[data.folds == 2] = 100.0
    altered = Inputs(states, data.inputs.questions, data.inputs.responses)
    plan = PackPlan("tiny", "tiny", "multiclass", ("fluency",))
    fits = Fits(TrainingData(data.texts, altered), plan)
    rows = np.flatnonzero(data.folds == 0)[:10]
    inputs = data.inputs.part(rows)
    for key in ("fluency", "correctness"):
        same = fits.chain(frozenset({2})).probabilities(inputs, key)
        np.testing.assert_allclose(same, models.chains[2].probabilities(inputs, key), atol=1e-9)
        other = fits.chain(frozenset({1})).probabilities(inputs, key)
        assert not np.allclose(other, models.chains[1].probabilities(inputs, key))


def test_made_responses_are_flagged_and_get_the_lowest_label(
    fitted: tuple[TrainingData, CrossFitted],
) -> None:
    data, models = fitted
    made = ~data.real
    flags = np.array(["off-task" in each for each in models.flags(data.inputs)])
    assert flags[made].mean() > 0.4
    assert flags[data.real].mean() < 0.05
    lowest = models.probabilities(data.inputs, "fluency")[:, 0]
    assert lowest[flags].min() > 0.5
    far = Inputs(np.full((1, 3 * HIDDEN), 50.0), ["Anything?"], ["Something."])
    assert "unlike-training" in models.flags(far)[0]


def test_a_tilt_moves_the_score_by_where_a_response_stands_before_the_hurdle() -> None:
    width = HIDDEN + len(TEXT_FEATURES)
    first = np.eye(1, width)  # the logit is the first state
    hurdle = Hurdle(LinearModel(first, np.zeros(1)), threshold=-40.0, center=1.0, spread=2.0)
    states = np.zeros((3, 3 * HIDDEN))
    states[:, 0] = (1.0, 3.0, -30.0)
    inputs = Inputs(states, ["What is 1 + 1?"] * 3, ["It is 2."] * 3)
    np.testing.assert_allclose(hurdle.standing(inputs), [0.0, 1.0, -3.0])
    probe = LinearModel(np.zeros((3, width)), np.zeros(3))  # knows nothing: labels are as likely
    model = CriterionModel(hurdle, probe, False, 1.0, np.zeros(3), tilt=math.log(2))
    found = model.probabilities(inputs, np.ones(3))
    # Logits of -log 2, 0 and log 2 for a response one spread above the median: 1 to 2 to 4.
    np.testing.assert_allclose(found[0], [1 / 3] * 3, atol=1e-6)
    np.testing.assert_allclose(found[1], [1 / 7, 2 / 7, 4 / 7], atol=1e-6)
    np.testing.assert_allclose(found[2], [64 / 73, 8 / 73, 1 / 73], atol=1e-6)


@pytest.mark.parametrize(("flaws_lower_scores", "tilts"), [(True, True), (False, False)])
def test_responses_are_tilted_only_if_the_scores_bear_it_out(
    flaws_lower_scores: bool, tilts: bool
) -> None:
    data = made_data()
    states = data.inputs.states.copy()
    states[:, 1] = np.random.default_rng(1).normal(size=len(states))
    for index, text in enumerate(data.texts):
        if text.scores:  # made responses are known by a high first state
            away = text.scores["fluency"].score - 3
            states[index, 0] += -away if flaws_lower_scores else away
    inputs = Inputs(states, data.inputs.questions, data.inputs.responses)
    plan = PackPlan("tiny", "tiny", "multiclass", ("fluency",))
    chain = Fits(TrainingData(data.texts, inputs), plan).chain(frozenset({0}))
    assert (chain.criteria["fluency"].tilt > 0.2) is tilts


def test_correctness_is_learnt_from_the_data_sets_own_solutions_where_there_are_some() -> None:
    data = made_data()
    texts = tuple(
        replace(text, origin=SOLUTIONS, dataset="tiny" if n % 2 else "other")
        for n, text in enumerate(data.texts)
    )
    shared = Fits(
        TrainingData(texts, data.inputs), PackPlan("tiny", "tiny", "multiclass", ("fluency",))
    )
    own = shared.chain(frozenset({0})).criteria["correctness"].probe
    halved = tuple(
        replace(text, correct=not text.correct) if text.dataset == "other" else text
        for text in texts
    )
    same = Fits(
        TrainingData(halved, data.inputs), PackPlan("tiny", "tiny", "multiclass", ("fluency",))
    )
    found = same.chain(frozenset({0})).criteria["correctness"].probe
    np.testing.assert_allclose(found.weights, own.weights)


def test_a_text_of_two_problems_is_left_out_with_the_fold_of_either() -> None:
    one, other = made_data().texts[:2]
    folds = [fold_of(text.problems[0]) for text in (one, other)]
    assert folds[0] != folds[1]
    both = replace(one, problems=(*one.problems, *other.problems))
    data = TrainingData((one, other, both), Inputs(np.empty((0, 0)), (), ()))
    assert data.without(frozenset({folds[0]})).tolist() == [False, True, False]
    assert data.without(frozenset({folds[1]})).tolist() == [True, False, False]
    assert data.without(frozenset(folds)).tolist() == [False] * 3
    assert data.without(frozenset(range(5)) - set(folds)).tolist() == [True] * 3
    assert data.without(frozenset()).tolist() == [True] * 3


def test_short_solutions_are_not_unlike_training_where_others_were_restyled() -> None:
    data = made_data()
    scored = [text.scores for text in data.texts if text.scores]
    kinds = [*["equations_only"] * 60, *[None] * 160, *["word_repeated"] * 80]
    texts = tuple(
        replace(text, kind=kind, scores={} if kind else scored[n % len(scored)])
        for n, (text, kind) in enumerate(zip(data.texts, kinds, strict=True))
    )
    states = data.inputs.states.copy()
    states[:60, 2] += 40.0
    inputs = Inputs(states, data.inputs.questions, data.inputs.responses)
    whole = TrainingData(texts, inputs)
    fold = frozenset({int(whole.folds[0])})
    rows = np.flatnonzero((whole.folds == whole.folds[0]) & whole.restyled)
    familiar = Familiarities(whole).model("tiny", fold)
    assert (familiar.excess(inputs.part(rows)) > 1).mean() < 0.2
    real = np.flatnonzero(~whole.restyled)
    without = TrainingData(tuple(texts[n] for n in real), inputs.part(real))
    strict = Familiarities(without).model("tiny", fold)
    assert (strict.excess(inputs.part(rows)) > 1).all()


def test_probes_of_an_older_format_say_what_to_do(
    fitted: tuple[TrainingData, CrossFitted], tmp_path: Path
) -> None:
    folder = tmp_path / "multiclass"
    write_pack(folder, fitted[1])
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "format_version": 3}))
    with pytest.raises(PackError, match="fit them again with: inspector crossfit"):
        read_pack(folder)


def test_a_pack_comes_back_as_it_was_written(
    fitted: tuple[TrainingData, CrossFitted], tmp_path: Path
) -> None:
    data, models = fitted
    folder = tmp_path / "tiny-lm" / "tiny" / "multiclass"
    write_pack(folder, models)
    pack = read_pack(folder)
    assert pack.transferred_to is None
    assert set(pack.probes) == {"fluency", "correctness"}
    probe = pack.probes["fluency"]
    assert isinstance(probe, CrossFittedProbe)
    assert {(f.layer, f.span) for f in probe.features()} == {(1, "response")}
    for key in ("fluency", "correctness"):
        np.testing.assert_allclose(
            probe.models.probabilities(data.inputs, key),
            models.probabilities(data.inputs, key),
            atol=1e-4,
        )


def test_a_pack_that_looks_at_likelihoods_asks_for_them_and_uses_them(tmp_path: Path) -> None:
    data = made_data()
    random = np.random.default_rng(2)
    likelihoods = random.normal(size=(len(data.texts), len(LIKELIHOODS)))
    # Nothing but the fourth number tells the scores.
    likelihoods[:, 3] = [t.scores["fluency"].score if t.scores else 3.0 for t in data.texts]
    states = random.normal(size=data.inputs.states.shape)
    inputs = Inputs(states, data.inputs.questions, data.inputs.responses, likelihoods)
    data = TrainingData(data.texts, inputs)
    chains = fit_chains(Fits(data, PackPlan("tiny", "tiny", "multiclass", ("fluency",))))
    models = CrossFitted(Reading(1, 2), chains, frozenset())
    write_pack(tmp_path / "multiclass", models)
    probe = read_pack(tmp_path / "multiclass").probes["fluency"]
    assert isinstance(probe, CrossFittedProbe)
    assert Feature(2, "response", TOKEN_LIKELIHOODS) in probe.features()
    found = probe.models.probabilities(inputs, "fluency")
    np.testing.assert_allclose(found, models.probabilities(inputs, "fluency"), atol=1e-4)
    scored = np.flatnonzero(data.labels("fluency", "multiclass", "tiny") >= 0)
    told = spearmanr(found[scored] @ np.arange(5), likelihoods[scored, 3]).statistic
    others = Inputs(states, inputs.questions, inputs.responses, np.zeros_like(likelihoods))
    blind = spearmanr(
        probe.models.probabilities(others, "fluency")[scored] @ np.arange(5),
        likelihoods[scored, 3],
    ).statistic
    assert told > 0.5
    assert blind < 0.35


def test_an_altered_pack_is_refused(
    fitted: tuple[TrainingData, CrossFitted], tmp_path: Path
) -> None:
    folder = tmp_path / "multiclass"
    write_pack(folder, fitted[1])
    card = json.loads((folder / "card.json").read_text())
    card["cross_fitted"]["known_problems"] = []
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(PackError, match="altered"):
        read_pack(folder)
    write_pack(folder, fitted[1])
    (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes() + b" ")
    with pytest.raises(PackError, match="SHA-256"):
        read_pack(folder)


def write_pack(folder: Path, models: CrossFitted) -> None:
    head = {
        "language_model": {"name": "tiny", "fingerprint": "0", "layers": 3, "hidden_size": HIDDEN},
        "dataset": "tiny",
        "scored": "tiny",
        "labels": "multiclass",
        "training": {"layout": "bare"},
    }
    write_cross_fitted(folder, head, models, layout_of("tiny"), {FLUENCY: {}, CORRECTNESS: {}})


def test_labels_weigh_the_same_and_emphasis_means_less_regularisation() -> None:
    features = np.array([[0.0, 0.0]] * 9 + [[1.0, 1.0]])
    labels = np.array([0] * 9 + [1])
    even = fit_linear(features, labels, 1.0, np.ones(2))
    middle = even.logits(np.array([[0.5, 0.5]]))[0]
    assert middle == pytest.approx([0, 0], abs=1e-2)
    stressed = fit_linear(features, labels, 1.0, np.array([3.0, 1.0]))
    assert stressed.weights[0, 0] > 2 * stressed.weights[0, 1]


def test_calibration_by_hand() -> None:
    probabilities = np.array([[0.25, 0.75], [0.25, 0.75], [0.75, 0.25], [0.45, 0.55]])
    found = calibration(probabilities, np.array([1, 0, 0, 1]))
    # Two bins: .75 three times, right twice; .55 once, right.
    assert found["ece"] == pytest.approx(0.75 * (0.75 - 2 / 3) + 0.25 * 0.45, abs=1e-4)
    assert found["brier"] == pytest.approx((0.125 * 2 + 1.125 + 0.405) / 4, abs=1e-4)
    assert found["reliability"] == [[0.55, 1.0, 1], [0.75, 0.6667, 3]]
    curve = coverage_curve(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False]))
    assert curve[0] == [1.0, 0.6, 0.5]
    assert [0.5, 0.8, 1.0] in curve


def test_overlap_by_hand() -> None:
    question = "Tom has three red apples and eats one"
    found = dict(zip(OVERLAP_FEATURES, overlap_features(question, question), strict=True))
    assert found["runs_shared"] == found["response_shared"] == found["question_copied"] == 1.0
    found = dict(zip(OVERLAP_FEATURES, overlap_features(question, "no no no 7"), strict=True))
    assert found["most_common"] == 0.75
    assert found["numbers"] == 0.25
    assert found["distinct"] == 0.5
    assert found["question_shared"] == 0.0
    assert found["ended"] == 1.0
    assert np.isfinite(overlap_features("", "")).all()
    assert len(TEXT_FEATURES) == 44


def test_training_texts() -> None:
    question = "Ann has 3 apples and buys 4 more. How many apples has Ann?"
    response = "She has 3 + 4 = <<3+4=7>>7 apples.\nThat is all of them.\nThe answer is 7."
    row = ScoredRow("1", question, response, FLUENCY, 5.0, MULTICLASS)
    answers = {problem_identity(question): "7"}
    (text,) = scored_texts("tiny", [row, row], answers)
    assert "<<" not in text.response
    assert text.correct is True
    assert text.is_faultless
    (wrong,) = scored_texts("tiny", [row], {problem_identity(question): "8"})
    assert wrong.correct is False
    assert not wrong.is_good("logicality")
    assert wrong.is_good("fluency")
    made = made_texts([text], 1, 1, seed=0)
    kinds = {each.kind: each for each in made}
    assert kinds["refusal"].breaks("attempt")
    assert not kinds["refusal"].breaks("fluency")
    assert kinds["calculation_wrong"].breaks("logicality")
    assert not kinds["calculation_wrong"].breaks("attempt")
    assert all(each.folds <= set(range(FOLDS)) for each in made)


def test_correctness_is_never_part_of_the_total() -> None:
    right = CriterionScore(1.0, 1, scale=BINARY, fingerprint=CORRECTNESS.fingerprint)
    fluent = CriterionScore(4.0, 4, scale=MULTICLASS)
    assert Judgement({"fluency": fluent, "correctness": right}).total == 4.0
    assert Judgement({"correctness": right}).total is None
    other = CriterionScore(4.0, 4, scale=MULTICLASS, fingerprint="of another criterion")
    assert Judgement({"fluency": fluent, "correctness": other}).total == 8.0

"""`inspector train`, whole, on a tiny language model: fit, resume, repeat, judge."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inspector_plugin.cli import train as train_command
from inspector_plugin.cli.main import main, make_parser
from inspector_plugin.data.folds import split
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256, read_scored
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.inspector import training
from inspector_plugin.judges.inspector.figures import all_figures, label_indices
from inspector_plugin.judges.inspector.layout import layout_for
from inspector_plugin.judges.inspector.packs import read_card, read_pack
from inspector_plugin.judges.inspector.plan import ClassifierSettings, TrainingPlan
from inspector_plugin.judges.inspector.surface import surface_counts
from inspector_plugin.lm import feature_store
from inspector_plugin.lm.feature_store import FeatureStore, every_feature, read_features
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.plan import ForwardPlan
from inspector_plugin.lm.pooling import POOLINGS
from inspector_plugin.lm.tokens import Encoding
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import BINARY, MULTICLASS, JudgeRequest
from inspector_plugin.schema.records import expected_score
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS

FLUENCY = ROSCOE[ROSCOE_KEYS.index("fluency")]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep features in a folder of the test's own, and choose between two classifiers only."""
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path / "cache"))
    few = tuple(ClassifierSettings("logistic_regression", c) for c in (0.1, 1.0))
    defaults = TrainingPlan.__init__.__defaults__
    assert defaults is not None
    monkeypatch.setattr(TrainingPlan.__init__, "__defaults__", (*defaults[:-1], few))


def write_scored(path: Path, keys: tuple[str, ...] = ("fluency",), per_score: int = 9) -> Path:
    """Rows whose score shows in the response: the more sums are right, the better."""
    rows = [
        {
            "id": f"{score}-{number}",
            "question": f"What is {number} + {score}, and twice that?",
            "response": "So it is. " * (number % 3) + "yes " * score + f"{number + score}.",
            "criterion": key,
            "score": score,
        }
        for key in keys
        for score in range(1, 6)
        for number in range(per_score)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def train(data: Path, lm: Path, out: Path, *more: str) -> int:
    common = ["--dataset", "gsm8k", "--model", str(lm), "--out", str(out), "--jobs", "1"]
    return main(["train", str(data), *common, "--folds", "3", "--members", "2", *more])


def test_the_defaults_of_the_command_are_those_of_the_plan() -> None:
    options = make_parser().parse_args(["train", "data", "--dataset", "gsm8k", "--out", "out"])
    for labels in ("multiclass", "binary"):
        assert train_command._plan(options, labels) == TrainingPlan("gsm8k", labels)


def test_from_scored_rows_to_judgements(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    assert train(data, tiny_lm, tmp_path / "out", "--transfer-to", "math") == 0
    assert "macro F1" in capsys.readouterr().out
    for labels in ("multiclass", "binary"):
        folder = next((tmp_path / "out").glob(f"*/gsm8k/{labels}"))
        entry = read_card(folder)["criteria"]["fluency"]
        assert entry["rows"] == entry["problems"] == 45
        figures = entry["figures"]
        probe = figures["nested_cross_validation"]["macro_f1"]
        # The score is written into these responses, so that a probe must see it.
        assert probe["low"] <= probe["value"] <= probe["high"]
        above_chance = 2 if labels == "multiclass" else 1.4
        assert probe["value"] > above_chance * figures["chance"]["macro_f1"]["value"]
        assert {"surface_counts", "surface_words"} <= figures.keys()
        judge = create_judge(f"inspector:probes={tmp_path / 'out'},labels={labels}")
        good, bad = (
            JudgeRequest("What is 2 + 5?", "yes " * n + "7.", ("fluency",), "math") for n in (5, 1)
        )
        scores = [judgement.scores["fluency"].score for judgement in judge.judge([good, bad])]
        assert scores[0] is not None
        assert scores[1] is not None
        assert scores[0] > scores[1]


def test_scores_on_problems_of_the_training_data_are_flagged(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_scored(tmp_path / "scored.jsonl"), tmp_path / "probes"
    assert train(data, tiny_lm, out, "--labels", "multiclass") == 0
    new = {"question": "What is 1 + 1?", "response": "2.", "criterion": "fluency"}
    with data.open("a", encoding="utf-8") as file:
        file.write(json.dumps(new) + "\n")
    judge = f"inspector:model={tiny_lm},probes={out},dataset=gsm8k"
    arguments = ["score", str(data), "--criterion-field", "criterion", "--judge", judge]
    arguments += ["--out", str(tmp_path / "out"), "--summary", str(tmp_path / "summary.json")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out.split("Flagged")[1].splitlines()
    assert printed[0].split() == ["by", "inspector"]
    assert ["trained-on", "45/46"] in [line.split() for line in printed]
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["judges"]["inspector"]["overall"]["flags"] == {"trained-on": 45}


@pytest.mark.parametrize("layout", ["suffix", "bare"])
def test_a_judge_uses_the_layout_that_its_probes_were_trained_with(
    tmp_path: Path, tiny_lm: Path, layout: str
) -> None:
    data = write_scored(tmp_path / "scored.jsonl", ("fluency", "logicality"))
    limits = ("--highest-layer", "2", "--layer-step", "1", "--labels", "multiclass")
    assert train(data, tiny_lm, tmp_path / "out", "--layout", layout, *limits) == 0
    pack = read_pack(next((tmp_path / "out").glob("*/gsm8k/multiclass")))
    assert pack.training["layout"] == layout
    assert pack.training["highest_layer"] == 2
    for probe in pack.probes.values():
        assert probe.layout.name == layout
        assert all(feature.layer <= 2 for feature in probe.features())
    judge = create_judge(f"inspector:probes={tmp_path / 'out'}")
    assert judge.describe()["packs"]["gsm8k"]["layout"] == layout
    rows = read_scored(data)
    requests = [JudgeRequest(r.question, r.response, (r.criterion,), "gsm8k") for r in rows]
    judged = judge.judge(requests)
    scores = [j.scores[r.criterion.key].score for j, r in zip(judged, rows, strict=True)]
    # The probes have seen these rows: a layout laid out otherwise would not know them again.
    assert np.corrcoef([score or 0 for score in scores], [row.score for row in rows])[0, 1] > 0.8


def test_attention_entropy_is_a_pooling_like_the_others(tmp_path: Path, tiny_lm: Path) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    options = ("--labels", "multiclass", "--poolings", "attention_entropy", "--layer-step", "1")
    assert train(data, tiny_lm, tmp_path / "out", *options) == 0
    pack = read_pack(next((tmp_path / "out").glob("*/gsm8k/multiclass")))
    assert pack.language_model["attention_heads"] == 4
    assert {f.pooling for f in pack.probes["fluency"].features()} == {"attention_entropy"}
    judge = create_judge(f"inspector:probes={tmp_path / 'out'}")
    request = JudgeRequest("What is 2 + 5?", "yes yes 7.", ("fluency",), "gsm8k")
    assert judge.judge([request])[0].scores["fluency"].score is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--highest-layer", "4"), "from 0 to 3"),
        (("--highest-layer", "-1"), "from 0 to 3"),
        (("--poolings", "mean,median"), "Unknown pooling 'median'"),
    ],
)
def test_what_cannot_be_trained_is_named(
    tmp_path: Path,
    tiny_lm: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(write_scored(tmp_path / "scored.jsonl"), tiny_lm, tmp_path / "out", *options) == 1
    assert message in capsys.readouterr().err


def test_the_same_seed_gives_the_same_card_and_arrays(tmp_path: Path, tiny_lm: Path) -> None:
    data = write_scored(tmp_path / "scored.jsonl", ("fluency", "logicality"))
    for name in ("one", "two"):
        assert train(data, tiny_lm, tmp_path / name, "--labels", "binary", "--seed", "4") == 0
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert [path.name for path in files] == [
        "card.json",
        "fluency.safetensors",
        "logicality.safetensors",
    ]
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_a_second_run_trains_and_extracts_nothing(
    tmp_path: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 0
    monkeypatch.setattr(feature_store, "pooled_features", lambda *_: pytest.fail("extracted"))
    monkeypatch.setattr(training, "train_probe", lambda *_: pytest.fail("trained"))
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 0


def test_an_interrupted_run_keeps_the_probes_that_were_done(
    tmp_path: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_scored(tmp_path / "scored.jsonl", ("logicality", "fluency"))
    real = training.train_probe
    trained: list[str] = []

    def interrupted(each: training.CriterionData, plan: TrainingPlan) -> object:
        if trained:
            raise KeyboardInterrupt
        trained.append(each.criterion.key)
        return real(each, plan)

    monkeypatch.setattr(training, "train_probe", interrupted)
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 130
    folder = next((tmp_path / "out").glob("*/gsm8k/binary"))
    assert list(read_card(folder)["criteria"]) == trained == ["logicality"]
    monkeypatch.setattr(training, "train_probe", real)
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 0
    assert list(read_pack(folder).probes) == ["logicality", "fluency"]


def test_another_run_does_not_mix_with_the_packs_of_the_first(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 0
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary", "--seed", "9") == 1
    assert "another training run; use --overwrite" in capsys.readouterr().err
    again = ("--labels", "binary", "--seed", "9", "--overwrite")
    assert train(data, tiny_lm, tmp_path / "out", *again) == 0


def test_extraction_resumes(tmp_path: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = load_language_model(str(tiny_lm))
    encodings = [
        Encoding(tuple(range(5, 5 + n)), {"all": (0, n), "response": (1, n)}, False)
        for n in (9, 4, 7, 4, 12)
    ]
    wanted = every_feature(lm.layers, ("all", "response"), POOLINGS)
    plan = ForwardPlan(wanted)
    store = FeatureStore(tmp_path / "features")
    store.extract(lm, encodings[:3], plan)
    real, asked = feature_store.pooled_features, []

    def spy(language_model, prompts, *more):  # type: ignore[no-untyped-def]
        asked.extend(prompts)
        return real(language_model, prompts, *more)

    monkeypatch.setattr(feature_store, "pooled_features", spy)
    paths = store.extract(lm, encodings, plan)
    # The second prompt of four tokens is the first one over again.
    assert asked == [encodings[4]]
    alone = real(lm, encodings, ForwardPlan(wanted, batch_size=1))
    found = read_features(paths, dict.fromkeys(wanted, lm.hidden_size))
    for feature in wanted:
        np.testing.assert_allclose(found[feature], alone[feature], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": float("nan")}, "line 3: the score must be a number, not nan"),
        ({"score": 6}, "line 3: the stored score 6 is outside the scale 1-5"),
        ({"score": "5"}, "not '5'"),
        ({"score": True}, "not True"),
        ({"criterion": "beauty"}, "Unknown criterion 'beauty'"),
        ({"response": 5}, "field 'response' must be text"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path,
    tiny_lm: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    message: str,
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    lines = data.read_text().splitlines(keepends=True)
    lines[2] = json.dumps({**json.loads(lines[2]), **change}) + "\n"
    data.write_text("".join(lines))
    assert train(data, tiny_lm, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--folds=1", "--folds must be at least 2, not 1"),
        ("--members=0", "--members must be at least 1, not 0"),
        ("--layer-step=0", "--layer-step must be at least 1, not 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    tmp_path: Path, tiny_lm: Path, flag: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    assert train(data, tiny_lm, tmp_path / "out", flag) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_layout_is_refused(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    with pytest.raises(SystemExit) as caught:
        train(data, tiny_lm, tmp_path / "out", "--layout", "sideways")
    assert caught.value.code == 2
    assert "--layout: invalid choice: 'sideways'" in capsys.readouterr().err
    with pytest.raises(OptionError, match="Unknown prompt layout 'sideways'"):
        layout_for("sideways", FLUENCY, "gsm8k")


def test_too_few_rows_are_an_error(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl", per_score=2)
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "multiclass") == 1
    assert "label 1 occurs in 2 problems" in capsys.readouterr().err


def test_a_criterion_that_cannot_be_trained_is_skipped_and_the_others_are_trained(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    few = write_scored(tmp_path / "few.jsonl", ("logicality",), per_score=2)
    data.write_text(data.read_text() + few.read_text())
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "multiclass") == 0
    error = capsys.readouterr().err
    assert "skipped logicality (multiclass): label 1 occurs in 2 problems, and 3 folds" in error
    card = read_card(next((tmp_path / "out").glob("*/gsm8k/multiclass")))
    assert list(card["criteria"]) == ["fluency"]


def test_a_criterion_that_says_something_else_is_trained_anew(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    own = tmp_path / "own.json"
    fingerprints = []
    for definition in ("It reads well.", "It reads well aloud."):
        criterion = {"key": "fluency", "definition": definition}
        content = {"format_version": 1, "name": "own", "criteria": [criterion]}
        own.write_text(json.dumps(content), encoding="utf-8")
        more = ("--labels", "binary", "--criteria", str(own))
        assert train(data, tiny_lm, tmp_path / "out", *more) == 0
        card = read_card(next((tmp_path / "out").glob("*/gsm8k/binary")))
        fingerprints.append(card["criteria"]["fluency"]["fingerprint"])
        assert card["criteria"]["fluency"]["criterion"]["definition"] == definition
    assert fingerprints[0] != fingerprints[1]


def test_one_problem_under_several_ids_is_one_problem(tmp_path: Path, tiny_lm: Path) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    again = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    with data.open("a", encoding="utf-8") as file:
        for row in again:
            row |= {"id": f"again {row['id']}", "question": " ".join(row["question"].split()[::-1])}
            file.write(json.dumps(row) + "\n")
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 0
    entry = read_card(next((tmp_path / "out").glob("*/gsm8k/binary")))["criteria"]["fluency"]
    assert (entry["rows"], entry["problems"], len(entry["problem_keys"])) == (90, 45, 45)


def test_rows_without_a_response_are_left_out(tmp_path: Path, tiny_lm: Path) -> None:
    data = write_scored(tmp_path / "scored.jsonl")
    empty = {"question": "What?", "response": " ", "criterion": "fluency", "score": 1}
    with data.open("a") as file:
        file.write(json.dumps(empty) + "\n")
    assert train(data, tiny_lm, tmp_path / "out", "--labels", "binary") == 0
    card = read_card(next((tmp_path / "out").glob("*/gsm8k/binary")))
    assert card["criteria"]["fluency"]["rows"] == 45
    assert card["training"]["data_sha256"] == data_sha256(read_scored(data))


def rows_of(scores: list[float]) -> list[ScoredRow]:
    return [
        ScoredRow(str(n), f"q{n}", "yes " * n, FLUENCY, s, MULTICLASS) for n, s in enumerate(scores)
    ]


def test_labels_of_scores() -> None:
    rows = rows_of([1, 2.4, 2.5, 3, 3.2, 3.5, 5])
    assert list(label_indices(rows, MULTICLASS)) == [0, 1, 2, 2, 2, 3, 4]
    assert list(label_indices(rows, BINARY)) == [0, 0, 0, 0, 1, 1, 1]


def test_the_score_is_the_expected_value_and_the_label_the_likeliest() -> None:
    score = expected_score([0.1, 0.2, 0.0, 0.4, 0.3], MULTICLASS)
    assert score.label == 4
    assert score.score == pytest.approx(0.1 + 0.4 + 1.6 + 1.5)
    assert score.probabilities == {1: 0.1, 2: 0.2, 3: 0.0, 4: 0.4, 5: 0.3}


def test_figures_of_perfect_predictions_are_one_and_chance_is_not() -> None:
    rows = rows_of([float(1 + n % 5) for n in range(50)])
    labels = label_indices(rows, MULTICLASS)
    folds = split(labels, np.array([row.id for row in rows]), 5, seed=0)
    figures = all_figures(np.eye(5)[labels], rows, MULTICLASS, folds, seed=0)
    for name in ("macro_f1", "accuracy", "quadratic_kappa", "spearman"):
        assert figures["nested_cross_validation"][name]["value"] == pytest.approx(1, abs=1e-4)
    assert 0.1 < figures["chance"]["macro_f1"]["value"] < 0.3


def test_surface_counts_by_hand() -> None:
    text = "**Sum**: 3 + 4 = 7.\n\n1. Is it \\boxed{7}?\n- Yes."
    expected = {
        0: len(text),
        1: 12,  # words
        2: 4,  # lines
        3: 2,  # paragraphs
        4: 5,  # digits
        5: 5,  # numbers
        6: 1,  # equal signs
    }
    counts = surface_counts([text])[0]
    assert counts.shape == (14,)
    assert {index: int(counts[index]) for index in expected} == expected
    # operators, list items, bold marks, latex commands, boxed answers, questions, sentences
    assert [int(count) for count in counts[7:]] == [6, 2, 2, 1, 1, 1, 4]

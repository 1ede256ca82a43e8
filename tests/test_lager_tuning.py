"""LAGER's numbers: aggregation by hand arithmetic, tuning, weight packs, `inspector lager tune`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inspector_plugin.cli.main import main
from inspector_plugin.data.scored_rows import sample
from inspector_plugin.errors import DataError, OptionError, PackError
from inspector_plugin.judges.lager.aggregation import (
    aggregate,
    expected_scores,
    scores_by_state,
    uniform_weights,
)
from inspector_plugin.judges.lager.figures import Labelled, held_out_probabilities
from inspector_plugin.judges.lager.packs import WEIGHTS, read_lager_pack, write_lager_pack
from inspector_plugin.judges.lager.plan import TuningPlan
from inspector_plugin.judges.lager.presets import PRESETS, Aggregation, altered
from inspector_plugin.judges.lager.tuning import tune
from inspector_plugin.judges.packs import CARD
from inspector_plugin.schema import MULTICLASS


def test_aggregation_equals_hand_arithmetic() -> None:
    # One prompt, two states, two scores; exp(log 3) = 3.
    logits = np.array([[[0.0, 0.0], [0.0, 2 * math.log(3)]]])
    half = np.array([0.5, 0.5])
    # Logits: (0, log 3) -> 1/4, 3/4. Probabilities: mean of (1/2, 1/2) and (1/10, 9/10).
    np.testing.assert_allclose(aggregate(logits, half, "logits"), [[0.25, 0.75]])
    np.testing.assert_allclose(aggregate(logits, half, "probabilities"), [[0.3, 0.7]])
    # Weights 1/4 and 3/4: (0, 1.5 log 3) -> 3 ** 1.5 = 5.196...
    tuned = aggregate(logits, np.array([0.25, 0.75]), "logits")
    np.testing.assert_allclose(tuned[0, 1], 3**1.5 / (1 + 3**1.5))
    np.testing.assert_allclose(expected_scores(np.array([[0.25, 0.75]]), (1, 2)), [1.75])
    np.testing.assert_allclose(scores_by_state(logits, (1, 2)), [[1.5, 1.9]])


@pytest.mark.parametrize(
    ("layers", "states"),
    [("all", [0, 1, 2, 3]), ("drop-last", [0, 1, 2]), ("last", [3]), ("1-2", [1, 2])],
)
def test_layer_ranges(layers: str, states: list[int]) -> None:
    aggregation = Aggregation(layers=layers)
    assert aggregation.states(4) == states
    weights = uniform_weights(aggregation, 4)
    assert weights.sum() == pytest.approx(1)
    assert list(np.flatnonzero(weights)) == states


@pytest.mark.parametrize("layers", ["0-4", "2-1", "some", "-1-2", ""])
def test_layer_ranges_that_do_not_exist_are_refused(layers: str) -> None:
    with pytest.raises(OptionError, match="A-B within 0-3"):
        Aggregation(layers=layers).states(4)


def test_presets_differ_as_paper_and_released_code_do() -> None:
    paper, code = PRESETS["paper"], PRESETS["released-code"]
    assert (paper.layers, paper.final_norm) == ("all", True)
    assert (code.layers, code.final_norm) == ("drop-last", False)
    assert altered(paper, layers="drop-last", final_norm=False, score=None) == code


def planted(rows: int = 120, states: int = 6, good: int = 3, seed: int = 0) -> Labelled:
    """Rows of which one state knows the score, and the others know nothing."""
    random = np.random.default_rng(seed)
    scores = random.integers(1, 6, rows)
    logits = random.normal(0, 2, (rows, states, 5))
    logits[np.arange(rows), good, scores - 1] += 12
    problems = tuple(str(row // 2) for row in range(rows))
    return Labelled(logits, scores.astype(float), ("fluency",) * rows, problems, MULTICLASS)


@pytest.mark.parametrize("combine", ["logits", "probabilities"])
def test_tuning_recovers_a_planted_layer(combine: str) -> None:
    data = planted()
    plan = TuningPlan(epochs=3, learning_rate=0.1)
    learnt = tune(data.logits, data.scores, MULTICLASS, range(6), combine, plan)
    assert learnt.weights.argmax() == 3
    assert learnt.weights[3] > 0.5
    assert learnt.weights.sum() == pytest.approx(1)
    again = tune(data.logits, data.scores, MULTICLASS, range(6), combine, plan)
    np.testing.assert_array_equal(learnt.weights, again.weights)


def test_tuning_leaves_states_that_do_not_count_at_zero() -> None:
    data = planted()
    learnt = tune(data.logits, data.scores, MULTICLASS, range(3), "logits", TuningPlan())
    assert (learnt.weights[3:] == 0).all()
    assert learnt.weights.sum() == pytest.approx(1)


def test_the_first_step_of_tuning_is_the_published_loss() -> None:
    """One row, one step: Adam moves each parameter by the learning rate against its gradient."""
    logits = np.array([[[0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]])
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    mixed = torch.einsum("s,sk->k", torch.softmax(theta, 0), torch.tensor(logits[0]))
    probabilities = torch.softmax(mixed, 0)
    cross_entropy = -torch.log(probabilities[4])
    squared = (probabilities @ torch.arange(1.0, 6.0, dtype=torch.float64) - 5) ** 2
    share = torch.sigmoid(alpha)
    (share * cross_entropy + (1 - share) * squared).backward()
    assert theta.grad is not None
    assert alpha.grad is not None
    learnt = tune(logits, np.array([5.0]), MULTICLASS, [0, 1], "logits", TuningPlan())
    stepped = torch.softmax(-0.01 * torch.sign(theta.grad), 0)
    np.testing.assert_allclose(learnt.weights, stepped, rtol=1e-6)
    balance = torch.sigmoid(torch.tensor(0.5 - 0.01 * float(torch.sign(alpha.grad))))
    assert learnt.balance == pytest.approx(float(balance), rel=1e-6)


def test_held_out_rows_are_judged_by_weights_that_never_saw_their_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = planted(rows=40)
    fitted: list[set[float]] = []

    def spy(logits: Any, targets: Any, *rest: Any) -> Any:
        fitted.append({float(row[0, 0]) for row in logits})
        return tune(logits, targets, *rest)

    monkeypatch.setattr("inspector_plugin.judges.lager.figures.tune", spy)
    probabilities = held_out_probabilities(data, PRESETS["paper"], TuningPlan(), folds=4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert len(fitted) == 4
    marks = [float(row[0, 0]) for row in data.logits]
    for fitting in fitted:
        held_out = {p for p, mark in zip(data.problems, marks, strict=True) if mark not in fitting}
        seen = {p for p, mark in zip(data.problems, marks, strict=True) if mark in fitting}
        assert held_out
        assert not held_out & seen


@pytest.mark.parametrize("targets", [[], [0.0], [6.0]])
def test_tuning_refuses_targets_off_the_scale(targets: list[float]) -> None:
    with pytest.raises(DataError, match="from 1 to 5"):
        tune(
            np.zeros((len(targets), 2, 5)),
            np.array(targets),
            MULTICLASS,
            [0, 1],
            "logits",
            TuningPlan(),
        )


@pytest.mark.parametrize("field", ["epochs", "learning_rate", "rows_per_step"])
def test_tuning_refuses_numbers_that_are_not_positive(field: str) -> None:
    with pytest.raises(OptionError, match="--" + field.replace("_", "-")):
        replace(TuningPlan(), **{field: 0})


def test_a_sample_keeps_order_and_is_part_of_any_larger_one() -> None:
    rows = list(range(100, 150))
    small, large = sample(rows, 10, seed=3), sample(rows, 30, seed=3)
    assert small == sorted(small)
    assert len(small) == 10
    assert set(small) < set(large)
    assert sample(rows, None, seed=3) == sample(rows, 99, seed=3) == rows
    assert sample(rows, 10, seed=4) != small


HEAD = {"language_model": {"name": "m", "fingerprint": "f", "layers": 2}}


def written(folder: Path) -> Path:
    write_lager_pack(folder, np.array([0.2, 0.3, 0.5]), Aggregation(), HEAD)
    return folder


def test_a_pack_comes_back_as_it_was_written(tmp_path: Path) -> None:
    pack = read_lager_pack(written(tmp_path))
    np.testing.assert_array_equal(pack.weights, [0.2, 0.3, 0.5])
    assert pack.aggregation == Aggregation()
    assert pack.card["language_model"] == HEAD["language_model"]


def edit_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **changes}))


def flip_byte(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_byte, "SHA-256 differs"),
        (lambda folder: edit_card(folder, aggregation={"layers": "last"}), "was altered"),
        (lambda folder: edit_card(folder, format_version=2), "upgrade"),
        (lambda folder: edit_card(folder, kind="probe"), "not the card"),
        (lambda folder: (folder / CARD).unlink(), "inspector lager tune"),
        (lambda folder: (folder / WEIGHTS).unlink(), "Cannot read"),
        (lambda folder: (folder / CARD).write_text("{"), "Cannot read"),
    ],
)
def test_a_damaged_pack_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(written(tmp_path))
    with pytest.raises(PackError, match=message):
        read_lager_pack(tmp_path)


def scored_file(path: Path, problems: int = 15) -> Path:
    rows = [
        {
            "id": number,
            "question": f"What is {number} + 1?",
            "response": f"It is {number + 1}." * (1 + number % 3),
            "criterion": key,
            "score": 1 + number % 5,
        }
        for number in range(problems)
        for key in ("logicality", "fluency")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_command_tunes_measures_and_plots(
    tmp_path: Path,
    tiny_lm: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path / "cache"))
    data = scored_file(tmp_path / "sums.jsonl")
    arguments = ["lager", "tune", "--data", str(data), "--model", str(tiny_lm), "--folds", "3"]
    arguments += ["--answer-prefix", "Score:"]
    assert main([*arguments, "--out", str(tmp_path / "pack")]) == 0
    assert "sums" in capsys.readouterr().out
    pack = read_lager_pack(tmp_path / "pack")
    assert pack.weights.shape == (5,)
    conditions = pack.card["figures"]["sums"]["conditions"]
    assert list(conditions) == ["direct", "e-score", "untuned", "tuned"]
    assert conditions["tuned"]["overall"]["n"] == 30
    assert len(pack.card["figures"]["sums"]["spearman_by_state"]) == 5
    assert (tmp_path / "pack/layers.svg").read_text().lstrip().startswith("<?xml")
    # The same seed, and states read back from disk, give the same files.
    assert main([*arguments, "--out", str(tmp_path / "again")]) == 0
    for name in (CARD, WEIGHTS, "layers.svg"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "pack" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", "16"], "15 problems"),
        (["--layers", "last"], "single layer"),
        (["--layers", "0-9"], "A-B within 0-4"),
        (["--epochs", "0"], "--epochs must be positive"),
        (["--chat"], "no chat template"),
    ],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path,
    tiny_lm: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    data = scored_file(tmp_path / "sums.jsonl")
    command = ["lager", "tune", "--data", str(data), "--model", str(tiny_lm), "--out", "pack"]
    assert main([*command, *arguments]) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1

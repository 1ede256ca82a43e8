"""Fitting a tuned judge: folds, weights, heads, when to stop, and what cannot be tuned."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_tuning import (
    CRITERIA,
    arguments,
    card_of,
    write_data,
    write_encoder,
)
from transformers import AutoModel

from inspector_plugin.cli.main import main
from inspector_plugin.data.folds import fold_of
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.judges.tuned import packs, training, tuning_run
from inspector_plugin.judges.tuned.examples import cut_validation, examples_of, why_not_tunable
from inspector_plugin.judges.tuned.heads import LabelHead, OrdinalHead
from inspector_plugin.judges.tuned.loss import Loss
from inspector_plugin.judges.tuned.plan import TuningPlan
from inspector_plugin.judges.tuned.training import Tuner, steps_of
from inspector_plugin.schema import Criterion
from inspector_plugin.schema.criteria import QUESTION as QUESTION_ALONE

TONE, ENDING = (Criterion.from_json(each) for each in CRITERIA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture(scope="module")
def data(folder: Path) -> tuple[Path, Path]:
    return write_data(folder)


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return write_encoder(folder / "base")


def test_folds_and_validation_are_by_problem(data: tuple[Path, Path]) -> None:
    plan = TuningPlan("encoder", folds=3)
    examples = examples_of(read_scored(data[0], [TONE, ENDING]), plan, ["tone", "ending"])
    assert len(examples) == 108
    wanted = [fold_of(problem_identity(question), 3) for question in examples.questions]
    assert examples.folds(3).tolist() == wanted
    # Every other problem has a score for the ending, on each of its three responses.
    assert (examples.labels[:, 1] >= 0).sum() == 54
    chosen = np.flatnonzero(examples.folds(3) != 1)
    fitting, stopping = cut_validation(examples, chosen, plan, 1)
    problems = [{examples.problems[place] for place in part} for part in (fitting, stopping)]
    assert not problems[0] & problems[1]
    assert sorted([*fitting, *stopping]) == chosen.tolist()
    assert len(problems[1]) == round(0.15 * len(problems[0] | problems[1]))


def test_a_criterion_of_the_question_is_not_tuned_on(data: tuple[Path, Path]) -> None:
    plan = TuningPlan("encoder", folds=2)
    rows = read_scored(data[0], [TONE])
    assert why_not_tunable(rows, TONE, plan) is None
    asks = replace(TONE, judges=QUESTION_ALONE)
    rows = [replace(row, criterion=asks) for row in rows]
    reason = why_not_tunable(rows, asks, plan)
    assert reason == "it judges the question alone, and tuned judges read responses"


def test_rare_labels_weigh_as_much_as_frequent_ones() -> None:
    labels = torch.tensor([[0], [0], [0], [1], [-1]])
    logs = torch.log(torch.tensor([[0.5, 0.5]] * 3 + [[0.75, 0.25], [0.1, 0.9]]))
    weighted, plain = Loss(labels, [2], True), Loss(labels, [2], False)
    half, quarter = math.log(2), math.log(4)
    # 4 labels, 2 classes: weights 4 / (2 * 3) and 4 / (2 * 1).
    wanted = (3 * 2 / 3 * half + 2 * quarter) / (3 * 2 / 3 + 2)
    assert float(weighted({"tone": logs}, labels)) == pytest.approx(wanted)
    assert float(plain({"tone": logs}, labels)) == pytest.approx((3 * half + quarter) / 4)


def test_the_ordinal_head_is_the_proportional_odds_model() -> None:
    head = OrdinalHead(2, 4)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 2.0]]))
        found = head(torch.tensor([[0.5, 0.25]])).exp()[0].tolist()
    # w x = 1, thresholds -1, 0, 1.
    above = [1 / (1 + math.exp(-(1 - threshold))) for threshold in (-1, 0, 1)]
    wanted = [1 - above[0], above[0] - above[1], above[1] - above[2], above[2]]
    assert found == pytest.approx(wanted, abs=1e-4)
    with torch.no_grad():
        head.steps.copy_(torch.tensor([-5.0, 3.0]))
    assert bool((head.thresholds.diff() > 0).all())
    assert OrdinalHead(3, 2)(torch.zeros(1, 3)).exp()[0].tolist() == [0.5, 0.5]
    assert LabelHead(3, 2)(torch.zeros(1, 3)).exp()[0].tolist() == [0.5, 0.5]


def test_the_base_is_loaded_only_to_fit(
    data: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base, out = write_encoder(tmp_path / "base"), tmp_path / "out"
    command = arguments(*data, base, out, "--epochs", "1")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packs, "write_pack", stop)
        assert main(command) == 130
    assert len(list((out / "folds").iterdir())) == 3, "two folds, and the model that ships"
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(tuning_run, "Tuner", lambda *_: pytest.fail("loaded"))
        assert main(command) == 0
        figures = capsys.readouterr().out
        assert "tone" in figures
        assert main(command) == 0
        assert capsys.readouterr().out == figures
    card = card_of(out)
    assert card["base"]["hidden_size"] == 32
    assert card["max_tokens"] == 64
    assert card["truncated"] == {"texts": 0, "of": 108}

    # Folds of other weights under the same name are not mixed with new ones.
    shutil.rmtree(out)
    with monkeypatch.context() as patch:
        patch.setattr(packs, "write_pack", stop)
        assert main(command) == 130
    (out / "folds" / "shared-1.json").unlink()
    shutil.rmtree(base)
    write_encoder(base, seed=1)
    assert main(command) == 1
    assert "holds folds of other weights of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "bound"),
    [
        ("epochs", "1001", "at most 1000"),
        ("epochs", "0", "at least 1"),
        ("patience", "1001", "at most 1000"),
        ("batch-size", "65537", "at most 65536"),
        ("rank", "1025", "at most 1024"),
        ("folds", "101", "at most 100"),
        ("max-tokens", "1048577", "at most 1048576"),
        ("learning-rate", "1.5", "above 0 and at most 1"),
    ],
)
def test_numbers_have_bounds(
    flag: str, value: str, bound: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "none.jsonl", "--kind", "lora", "--base", "none", "--out", str(tmp_path)]
    assert main([*command, f"--{flag}", value]) == 1
    found = f"inspector tune: error: --{flag} must be {bound}, not {value}."
    assert capsys.readouterr().err.strip() == found


def test_the_epoch_with_the_lowest_validation_loss_counts(
    data: tuple[Path, Path], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = TuningPlan("encoder", epochs=9, patience=2, folds=2)
    tuner = Tuner(plan, str(base), "cpu", None)
    examples = examples_of(read_scored(data[0], [TONE, ENDING]), plan, ["tone"])
    texts = tuner.encode(examples)
    parts = cut_validation(examples, np.arange(len(examples)), plan, None)
    states: list[dict[str, torch.Tensor]] = []
    losses = iter([3.0, 1.0, 2.0, 1.5, 0.0])

    def scripted(model: torch.nn.Module, *_: Any) -> float:
        states.append({name: each.clone() for name, each in model.state_dict().items()})
        return next(losses)

    steps: list[int] = []
    monkeypatch.setattr(training, "_mean_loss", scripted)
    fitted = tuner.fit(texts, examples, ["tone"], parts, 0, lambda count, _: steps.append(count))
    assert (fitted.epochs, fitted.validation_loss) == (2, (3.0, 1.0, 2.0, 1.5))
    assert sum(steps) == steps_of(len(parts[0]), plan), "what was not run counts as done"
    kept = fitted.model.state_dict()
    assert all(torch.equal(each, kept[name]) for name, each in states[1].items())
    assert not all(torch.equal(each, kept[name]) for name, each in states[3].items())
    # The next fit begins with the base as it was.
    again = tuner._fresh({"tone": 3}, 0).reader.state_dict()
    start = AutoModel.from_pretrained(base).state_dict()
    assert all(torch.equal(each, start[name]) for name, each in again.items())


def test_what_cannot_be_tuned_is_said(
    data: tuple[Path, Path],
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def error(*command: str) -> str:
        assert main(list(command)) == 1
        return capsys.readouterr().err

    few, criteria = write_data(tmp_path, problems=2)
    assert "label 1 occurs in 2 problems, and 5 folds need" in error(
        *arguments(few, criteria, base, tmp_path / "few", "--folds", "5")
    )
    short = write_encoder(tmp_path / "short", max_positions=8)
    found = error(*arguments(*data, short, tmp_path / "out"))
    assert "as many tokens as are read of problem and response together (8)" in found
    assert "choose a base with a longer context." in found
    assert "reads at most 64" in error(
        *arguments(*data, base, tmp_path / "out", "--max-tokens", "65")
    )
    assert "--validation must be" in error(
        *arguments(*data, base, tmp_path / "out", "--validation", "0")
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert "'notes.txt', which is no part of a pack" in error(
        *arguments(*data, base, tmp_path / "mine", "--overwrite")
    )
    assert (tmp_path / "mine" / "notes.txt").exists()
    assert not (tmp_path / "out" / "card.json").exists()

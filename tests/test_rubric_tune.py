"""Runs of tuning on a tiny random model: their stages, resumed, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs inspector_plugin[tune]")
pytest.importorskip("peft", reason="needs inspector_plugin[tune]")

from rubric_pairs import RubricJudge
from tuning_problems import draw_written, problem, rule

from inspector_plugin.errors import DataError, ModelError
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.lora_plan import LoraSettings
from inspector_plugin.rubrics import sampling, tune
from inspector_plugin.rubrics.sampling import Draw
from inspector_plugin.rubrics.tune import TuningPlan
from inspector_plugin.rubrics.tuning_card import problems_of_adapter

SMALL = LoraSettings(rank=4, alpha=8, epochs=2, learning_rate=1e-2, batch_size=2)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return draw_written(monkeypatch)


def plan(tiny_lm: Path, **changes: Any) -> TuningPlan:
    given: dict[str, Any] = {
        "draw": Draw(candidates=3, max_tokens=64),
        "supervised": SMALL,
        "preference": SMALL,
    }
    return TuningPlan(str(tiny_lm), **(given | changes))


def test_a_run_trains_on_the_best_then_on_best_against_worst_and_counts_the_rest(
    tiny_lm: Path, tmp_path: Path, drawn: list[int]
) -> None:
    problems = [problem(number) for number in range(4)]
    out = tmp_path / "tuned"
    judge = RubricJudge(rule, scale=None)
    tuned = tune.tune(problems, plan(tiny_lm), judge, out)
    assert [stage.name for stage in tuned.stages] == ["supervised", "round 1", "round 2"]
    start, *rounds = tuned.stages
    # Problem 1 has one valid rubric of three; 2 + 1 + 3 + 3 are valid.
    assert (start.problems, start.candidates, start.valid, start.dropped) == (4, 12, 9, 1)
    # Supervised: the best of problems 0, 2 and 3. DPO: problem 2 has no worse rubric.
    assert start.training is not None
    assert (start.training.examples, start.unused) == (3, 0)
    # Rewards 1, 0; 1; 1, 1, 1; 0, 1, 0.
    assert start.mean_reward == pytest.approx(6 / 9)
    for stage in rounds:
        assert stage.training is not None
        assert (stage.training.objective, stage.training.examples) == ("preference", 2)
        assert (stage.dropped, stage.unused) == (1, 1)
    assert start.training.losses[-1] < start.training.losses[0]
    card = json.loads((out / "card.json").read_text())
    assert card["problems"] == sorted(each.problem for each in problems)
    assert problems_of_adapter(out) == {each.problem for each in problems}
    assert [stage["dropped"] for stage in card["stages"]] == [1, 1, 1]
    assert card["made_by"]["plan"]["rounds"] == 2
    assert "| round 2 | 4 | 9 of 12 | 1 | 1 |" in (out / "README.md").read_text()
    base, adapter = load_language_model(str(tiny_lm)), load_language_model(str(out))
    assert adapter.fingerprint != base.fingerprint
    suffixes = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".jsonl", ".safetensors", ".md"}


def test_a_run_that_was_interrupted_goes_on_after_the_last_finished_stage(
    tiny_lm: Path, tmp_path: Path, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, once = [problem(number) for number in range(4)], plan(tiny_lm, rounds=1)
    whole = tune.tune(problems, once, RubricJudge(rule, scale=None), tmp_path / "whole")
    assert drawn == [0, 1, 2, 3] * 2
    drawn.clear()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "tuned"
    with monkeypatch.context() as patched:
        patched.setattr(tune, "train_preference", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune.tune(problems, once, RubricJudge(rule, scale=None), out)
    assert drawn == [0, 1, 2, 3] * 2
    # The last line of the second draw is lost.
    path = out / "stages" / "round-1.candidates.jsonl"
    path.write_text(path.read_text()[:-20])
    drawn.clear()
    tuned = tune.tune(problems, once, RubricJudge(rule, scale=None), out)
    assert drawn == [3]
    assert tuned.stages == whole.stages
    weights = "adapter_model.safetensors"
    assert (out / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    drawn.clear()
    tune.tune(problems, once, RubricJudge(rule, scale=None), out)
    assert drawn == []


def test_an_output_of_another_run_is_refused(
    tiny_lm: Path, tmp_path: Path, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "train_supervised", interrupted)
    out, judge, made = tmp_path / "tuned", RubricJudge(rule, scale=None), plan(tiny_lm)
    with pytest.raises(KeyboardInterrupt):
        tune.tune([problem(0)], made, judge, out)
    with pytest.raises(DataError, match="comes from another run"):
        tune.tune([problem(0), problem(3)], made, judge, out)
    with pytest.raises(KeyboardInterrupt):
        tune.tune([problem(0), problem(3)], made, judge, out, overwrite=True)
    mine = tmp_path / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("keep me")
    with pytest.raises(DataError, match="is there already and no tuning"):
        tune.tune([problem(0)], made, judge, mine.parent, overwrite=True)
    assert mine.read_text() == "keep me"


def test_without_two_valid_rubrics_anywhere_there_is_nothing_to_tune_on(
    tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn is the tiny model's own: no rubrics."""
    judge = RubricJudge(rule, scale=None)
    with pytest.raises(ModelError, match="of 2 problems, 2 have fewer than 2 valid rubrics of 3"):
        tune.tune([problem(0), problem(1)], plan(tiny_lm), judge, tmp_path / "tuned")


def test_a_generator_without_room_for_the_prompts_is_refused(tiny_lm: Path, tmp_path: Path) -> None:
    long = plan(tiny_lm, draw=Draw(candidates=2, max_tokens=10**6))
    with pytest.raises(ModelError, match="too few for any of the prompts"):
        tune.tune([problem(0)], long, RubricJudge(rule, scale=None), tmp_path / "tuned")


def test_draws_follow_the_seed_and_differ_among_candidates(tiny_lm: Path) -> None:
    language_model = load_language_model(str(tiny_lm))
    _, prompts = sampling.encode_prompts(language_model, [problem(0)], True, 16)
    draws = [
        sampling._draw(language_model, prompts, Draw(3, max_tokens=16, seed=seed), 0)
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0][0])) == 3

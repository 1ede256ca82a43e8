"""Tuning a judge and judging by it: a planted rule, plain Hugging Face, flags, and what resumes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_tuning import (
    CRITERIA,
    TELLTALE,
    arguments,
    scored_rows,
    without_padding_token,
    write_data,
    write_encoder,
)
from transformers import AutoModel, AutoTokenizer

from inspector_plugin.cli.main import main
from inspector_plugin.data.folds import fold_of
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.judges.tuned import packs, training, tuning_run
from inspector_plugin.judges.tuned.examples import cut_validation, examples_of, why_not_tunable
from inspector_plugin.judges.tuned.heads import LabelHead, OrdinalHead
from inspector_plugin.judges.tuned.loss import Loss
from inspector_plugin.judges.tuned.model import encode_text
from inspector_plugin.judges.tuned.packs import load_models, read_pack
from inspector_plugin.judges.tuned.plan import TuningPlan
from inspector_plugin.judges.tuned.training import Tuner, steps_of
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.report.tables import share
from inspector_plugin.schema import BINARY, Criterion, CriterionScore, JudgeRequest
from inspector_plugin.schema.criteria import QUESTION as QUESTION_ALONE
from inspector_plugin.testing import check_judge

TONE, ENDING = (Criterion.from_json(each) for each in CRITERIA)
QUESTION = "how many melons 8 9 ?"
MODEL = "models/shared"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture(scope="module")
def data(folder: Path) -> tuple[Path, Path]:
    return write_data(folder)


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return write_encoder(folder / "base")


@pytest.fixture(scope="module")
def pack(folder: Path, data: tuple[Path, Path], base: Path) -> Path:
    out = folder / "pack"
    assert main(arguments(*data, base, out, "--dataset", "crates")) == 0
    return out


def card_of(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return card


def request(word: str, ending: str = "because", question: str = QUESTION) -> JudgeRequest:
    response = f"so 3 then {word} . {ending} we count ."
    return JudgeRequest(question, response, (TONE, ENDING))


def judged(spec: str, requests: Sequence[JudgeRequest]) -> list[dict[str, CriterionScore]]:
    with create_judge(spec) as judge:
        return [dict(each.scores) for each in judge_all(judge, requests, progress=False)]


def test_a_planted_rule_is_recovered_on_problems_that_were_held_out(pack: Path) -> None:
    for entry in card_of(pack)["criteria"].values():
        assert entry["figures"]["nested_cross_validation"]["macro_f1"]["value"] > 0.9
        assert entry["figures"]["chance"]["macro_f1"]["value"] < 0.6
        assert np.array(entry["confusion"]).sum() == entry["rows"]


def test_probes_show_reads_its_card(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["probes", "show", str(pack), "--out", str(tmp_path / "drawn")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    card = card_of(pack)
    assert f"base model: {card['base']['name']}" in text
    for key, entry in card["criteria"].items():
        found = entry["calibration"]
        assert f"{key}: the reference's labels (rows) and the model's (columns)" in text
        assert sum(count for _, _, count in found["reliability"]) == entry["rows"]
        assert f"{key} {share(found['ece'])} {share(found['ece_bias'])}" in text
    drawn = sorted(path.name for path in (tmp_path / "drawn").glob("*.svg"))
    assert drawn == ["confusion.svg", "reliability.svg"]
    assert ">model<" in (tmp_path / "drawn/confusion.svg").read_text("utf-8")


def test_the_judge_follows_the_rule_on_a_new_problem(pack: Path) -> None:
    endings = ("and", "because")
    asked = [request(word, ending) for word in TELLTALE.values() for ending in endings]
    found = judged(f"tuned:path={pack}", asked)
    assert [each["tone"].label for each in found] == [1, 1, 2, 2, 3, 3]
    assert [each["ending"].label for each in found] == [0, 1, 0, 1, 0, 1]
    for each in found:
        probabilities = each["tone"].probabilities
        assert probabilities is not None
        assert list(probabilities) == [1, 2, 3]
        expected = sum(label * p for label, p in probabilities.items())
        assert each["tone"].score == pytest.approx(expected, abs=1e-3)
        assert each["tone"].flags == ()


def test_scores_are_those_of_plain_hugging_face(pack: Path, base: Path) -> None:
    # In a batch with longer texts, so that padding would show.
    asked = [request("maybe"), request("maybe", "and so then and so then"), request("fine")]
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModel.from_pretrained(base)
    model.load_state_dict(load_file(pack / MODEL / "encoder.safetensors"), strict=False)
    model.eval()
    heads = load_file(pack / MODEL / "heads.safetensors")
    vectors, wanted = [], []
    with torch.inference_mode():
        for each in asked:
            inputs = tokenizer(each.question, each.response, return_tensors="pt")
            vectors.append(model(**inputs).last_hidden_state[0].mean(dim=0))
            logits = heads["0.linear.weight"] @ vectors[-1] + heads["0.linear.bias"]
            wanted.append(torch.softmax(logits, dim=0).tolist())
    [own] = load_models(read_pack(pack), None, "cpu", None)
    with torch.inference_mode():
        texts = [encode_text(own.base, each.question, each.response) for each in asked]
        assert torch.allclose(own.vectors(texts), torch.stack(vectors), atol=1e-5)
    for found, probabilities in zip(judged(f"tuned:path={pack}", asked), wanted, strict=True):
        given = found["tone"].probabilities
        assert given is not None
        assert list(given.values()) == pytest.approx(probabilities, abs=1e-4)


def test_flags_say_what_was_learnt_from_and_what_was_cut(pack: Path) -> None:
    known = scored_rows(1)[0]["question"]
    asked = [
        request("fine", question=known.upper()),
        JudgeRequest(QUESTION, request("fine").response, (TONE,), dataset="pears"),
        JudgeRequest(QUESTION, "then " * 80 + "fine .", (TONE,), dataset="crates"),
    ]
    found = judged(f"tuned:path={pack}", asked)
    assert [each["tone"].flags for each in found] == [
        ("trained-on",),
        ("transferred",),
        ("truncated",),
    ]


def test_criteria_that_it_does_not_know_are_left_out_with_the_reason(pack: Path) -> None:
    other = Criterion("tone", "Tone", "Another definition.", TONE.scale)
    unknown = Criterion("care", "Care", "Steps are checked.")
    asked = JudgeRequest(QUESTION, "fine .", (other, unknown))
    [found] = judged(f"tuned:path={pack}", [asked])
    assert "another criterion of the key 'tone'" in str(found["tone"].reason)
    assert found["care"].reason == "this judge was not tuned on 'care'"


def test_a_response_without_a_token_is_unscored(pack: Path) -> None:
    # Asked directly: an empty response does not reach the judge otherwise.
    asked = [JudgeRequest(QUESTION, response, (TONE,)) for response in (" ", "fine .")]
    with create_judge(f"tuned:path={pack}") as judge:
        none, other = (each.scores["tone"] for each in judge.judge(asked))
    assert none.score is None
    assert none.reason == "the response has no token for the language model"
    assert other.label == 3


def test_low_and_high_quality_follow_from_the_scale(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [request(word) for word in TELLTALE.values()]
    own = judged(f"tuned:path={pack}", asked)
    found = judged(f"tuned:path={pack},labels=binary", asked)
    for whole, binary in zip(own, found, strict=True):
        assert whole["tone"].probabilities is not None
        # Above the middle of 1-3, which is 2, only 3 is high.
        assert binary["tone"].score == pytest.approx(whole["tone"].probabilities[3], abs=1e-3)
        assert binary["tone"].scale == BINARY


def test_it_keeps_the_contract_of_judges(pack: Path) -> None:
    rows = [request("fine"), request("wrong", "and"), request("maybe")]
    check_judge(create_judge(f"tuned:path={pack}"), rows)


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


def test_an_ordinal_model_for_each_criterion(
    folder: Path, data: tuple[Path, Path], base: Path
) -> None:
    out = folder / "ordinal"
    more = ("--target", "ordinal", "--per-criterion", "--no-class-weights")
    assert main(arguments(*data, base, out, *more)) == 0
    card = card_of(out)
    assert [each["criteria"] for each in card["models"]] == [["tone"], ["ending"]]
    assert card["labels"] == "multiclass"
    figures = card["criteria"]["tone"]["figures"]["nested_cross_validation"]
    assert figures["spearman"]["value"] > 0.8
    asked = [request(word) for word in TELLTALE.values()]
    scores = [each["tone"].score for each in judged(f"tuned:path={out}", asked)]
    assert scores == sorted(scores, key=lambda score: score or 0)


def test_an_interrupted_run_resumes_at_the_fold_and_ends_the_same(
    folder: Path,
    data: tuple[Path, Path],
    base: Path,
    pack: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, fit = folder / "resumed", Tuner.fit
    fitted: list[Any] = []

    def interrupted(self: Tuner, *given: Any) -> Any:
        if len(fitted) == 1:
            raise KeyboardInterrupt
        fitted.append(given)
        return fit(self, *given)

    command = arguments(*data, base, out, "--dataset", "crates")
    with monkeypatch.context() as patch:
        patch.setattr(Tuner, "fit", interrupted)
        assert main(command) == 130
    assert [path.name for path in (out / "folds").iterdir()] == ["shared-0.json"]
    assert main(arguments(*data, base, out, "--dataset", "pears")) == 1
    assert "folds of another run; use --overwrite" in capsys.readouterr().err

    def counted(self: Tuner, *given: Any) -> Any:
        fitted.append(given)
        return fit(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Tuner, "fit", counted)
        assert main(command) == 0
    assert len(fitted) == 1 + 2, "the second fold, and the model that ships"
    for fold, (_, examples, _, parts, *_) in enumerate(fitted):
        used = set(examples.folds(2)[np.concatenate(parts)].tolist())
        assert used == ({1 - fold} if fold < 2 else {0, 1}), "what a fold is judged by"
    assert (out / "card.json").read_bytes() == (pack / "card.json").read_bytes()
    assert not (out / "folds").exists()
    with monkeypatch.context() as patch:
        patch.setattr(Tuner, "fit", lambda *_: pytest.fail("fitted again"))
        assert main(command) == 0
    assert main([*command, "--seed", "1"]) == 1
    assert "the pack of another run" in capsys.readouterr().err


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


def test_a_base_without_a_padding_token_will_do(
    folder: Path, base: Path, pack: Path, data: tuple[Path, Path]
) -> None:
    bare = without_padding_token(base, folder / "bare")
    asked = [request("fine"), request("maybe", "and so then and so then")]
    together = judged(f"tuned:path={pack},base={bare}", asked)
    alone = [judged(f"tuned:path={pack},base={bare}", [each])[0] for each in asked]
    for one, other in zip(together, alone, strict=True):
        assert one["tone"].score == pytest.approx(other["tone"].score, abs=1e-4)


def test_what_cannot_be_tuned_is_said(
    folder: Path,
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

"""Tuning a judge and judging by it: a planted rule, plain Hugging Face, flags, and what resumes."""

from __future__ import annotations

from collections.abc import Sequence
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
    card_of,
    scored_rows,
    without_padding_token,
    write_data,
    write_encoder,
)
from transformers import AutoModel, AutoTokenizer

from inspector_plugin.cli.main import main
from inspector_plugin.judges.tuned.model import encode_text
from inspector_plugin.judges.tuned.packs import load_models, read_pack
from inspector_plugin.judges.tuned.training import Tuner
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.report.tables import share
from inspector_plugin.schema import BINARY, Criterion, CriterionScore, JudgeRequest
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


def test_a_base_without_a_padding_token_will_do(
    folder: Path, base: Path, pack: Path, data: tuple[Path, Path]
) -> None:
    bare = without_padding_token(base, folder / "bare")
    asked = [request("fine"), request("maybe", "and so then and so then")]
    together = judged(f"tuned:path={pack},base={bare}", asked)
    alone = [judged(f"tuned:path={pack},base={bare}", [each])[0] for each in asked]
    for one, other in zip(together, alone, strict=True):
        assert one["tone"].score == pytest.approx(other["tone"].score, abs=1e-4)

"""From responses to reference scores: label, balance, collect, cache."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, ChatServer, error, response_of, score_of
from harness_runs import Parrot, evaluate
from tiny_probes import write_pack

from inspector_plugin.cli.main import main
from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.judges.prompt import endpoint
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import ROSCOE, JudgeRequest, Usage

ROWS = [{"id": i, "question": f"q{i}", "response": "so " * 3 + "x" * i} for i in range(6)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("in.jsonl", ROWS)
    prices = {"m": {"miss": 1.0, "hit": 1.0, "output": 1.0}}
    Path("prices.json").write_text(json.dumps(prices))
    return tmp_path


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def fluency_of(path: str) -> list[dict[str, Any]]:
    """The fluency scores of the prompt judge, row by row."""
    return [row["judgements"]["prompt"]["scores"]["fluency"] for row in read(path)]


def label(server: ChatServer, *arguments: str, options: str = "") -> int:
    spec = f"prompt:model=m,base_url={server.url},prices=prices.json{options}"
    usual = ("--judge", spec, "--out", "out.jsonl", "--criteria", "fluency")
    return main(["label", "in.jsonl", *usual, *arguments])


@pytest.mark.usefixtures("folder")
def test_scores_are_written_for_recorded_and_train(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(server, "--dataset", "gsm8k") == 0
    rows = read("out.jsonl")
    expected = score_of(str(ROWS[2]["response"]))
    judgement = rows[2]["judgements"]["prompt"]
    usage = judgement.pop("usage")
    assert (usage["calls"], usage["prompt_tokens"], usage["money"]) == (1, 1000, 0.00105)
    assert rows[2] == ROWS[2] | {
        "judgements": {
            "prompt": {
                "format_version": 2,
                "scores": {
                    "fluency": {
                        "score": expected,
                        "label": expected,
                        "scale": [1, 2, 3, 4, 5],
                        "fingerprint": ROSCOE[3].fingerprint,
                        "explanation": "because",
                    }
                },
            }
        }
    }
    assert json.loads(Path("out.jsonl.run.json").read_text())["dataset"] == "gsm8k"
    # Six calls of 1000 prompt and 50 completion tokens at a dollar a million.
    out = capsys.readouterr().out
    assert "6 calls, 6000 prompt tokens" in out
    assert "$0.0063" in out
    with create_judge("recorded:path=out.jsonl") as recorded:
        judged = judge_all(
            recorded, [JudgeRequest(r["question"], r["response"], ("fluency",)) for r in rows]
        )
    expected_scores = [score_of(str(row["response"])) for row in ROWS]
    assert [each.total for each in judged] == expected_scores
    learnt = read_scored("out.jsonl")
    assert [(row.id, row.score) for row in learnt] == [
        (str(number), score) for number, score in enumerate(expected_scores)
    ]
    # How often each label was given: lengths 9 to 14, so that 1 + length % 5 is 5, 1, 2, 3, 4, 5.
    (line,) = [line for line in out.splitlines() if line.startswith("fluency")]
    assert line.split() == ["fluency", "1", "1", "1", "1", "2"]


@pytest.mark.usefixtures("folder")
def test_a_second_run_asks_only_for_what_is_missing(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endpoint, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.001)
    unreadable = [True]
    server._script = lambda body, number: (
        Answer(status=500, body=error("down"))
        if response_of(body) == ROWS[1]["response"] and unreadable[0]
        else Answer()
    )
    assert label(server, "--no-cache") == 1
    assert "run again to retry 1 of the missing scores" in capsys.readouterr().err
    assert [row["id"] for row in read("out.jsonl")] == [0, 1, 2, 3, 4, 5]
    (missing,) = [score for score in fluency_of("out.jsonl") if score["score"] is None]
    assert missing == fluency_of("out.jsonl")[1]
    assert (missing["reason"], missing["transient"]) == ("server error (500), 2 times", True)
    unreadable[0] = False
    with Path("out.jsonl").open("a") as file:
        file.write('{"id": 3, "questi')  # a line whose writing was interrupted
    before = len(server.calls)
    assert label(server, "--no-cache") == 0
    assert len(server.calls) == before + 1
    assert [row["id"] for row in read("out.jsonl")] == [0, 1, 2, 3, 4, 5]
    assert [score["score"] for score in fluency_of("out.jsonl")] == [
        score_of(str(row["response"])) for row in ROWS
    ]
    assert not Path("out.jsonl.unscored.jsonl").exists()
    assert label(server, "--no-cache") == 0
    assert len(server.calls) == before + 1


@pytest.mark.usefixtures("folder")
def test_a_reply_that_cannot_be_used_is_kept(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    useless = str(ROWS[0]["response"])
    server._script = lambda body, number: (
        Answer(content="\x1b[31m five!") if response_of(body) == useless else Answer()
    )
    assert label(server, "--limit", "1") == 1  # nothing is scored
    (missing,) = fluency_of("out.jsonl")
    assert missing["score"] is None
    assert missing["explanation"] == "\x1b[31m five!"
    assert "transient" not in missing
    assert label(server) == 0  # one score of six is missing, and asking again gives nothing else
    assert [score["score"] is None for score in fluency_of("out.jsonl")] == [True, *[False] * 5]
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "run again" not in printed.err


@pytest.mark.usefixtures("folder")
def test_max_cost_stops_and_a_higher_one_resumes(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ",max_tokens=50,concurrency=1"
    assert label(server, "--max-cost", "0.006", options=options) == 1
    scores = fluency_of("out.jsonl")
    missing = [score for score in scores if score["score"] is None]
    assert len(scores) == 6
    assert 0 < len(missing) < 6
    assert all("the cost could pass max_cost $0.006" in score["reason"] for score in missing)
    printed = capsys.readouterr()
    assert "the cost could pass max_cost $0.006" in printed.out
    assert f"run again to retry {len(missing)} of the missing scores" in printed.err
    assert label(server, "--max-cost", "1", options=options) == 0
    assert len(server.calls) == 6
    assert all(score["score"] is not None for score in fluency_of("out.jsonl"))


@pytest.mark.usefixtures("folder")
def test_dry_run_counts_what_a_run_would_ask(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(server, "--limit", "2") == 0
    assert label(server, "--dry-run") == 0
    assert "estimate, without the provider's prefix cache: 4 calls" in capsys.readouterr().out
    Path("out.jsonl").unlink()
    assert label(server, "--dry-run") == 0
    assert "4 calls" in capsys.readouterr().out  # two are in the judge cache
    assert not Path("out.jsonl").exists()
    assert len(server.calls) == 2


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), ",max_tokens=9", "comes from another run (other judges in"),
        (("--out", "in.jsonl"), "", "is the input itself"),
        ((), ",labels=binary", "comes from another run (other judges in"),
        (("--criteria", "logicality"), "", "comes from another run (other criteria in"),
        (("--criteria", "logicalty"), "", "Did you mean 'logicality'?"),
        (("--judge", "recorded:path=in.jsonl", "--dry-run"), "", "makes no calls that cost money"),
        (("--max-cost", "0"), "", "'max_cost' must be above 0"),
    ],
)
def test_refusals(
    server: ChatServer,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    options: str,
    message: str,
) -> None:
    assert label(server, "--limit", "1") == 0
    assert label(server, *arguments, options=options) == 1
    assert message in capsys.readouterr().err
    assert len(server.calls) == 1


def test_balance_keeps_as_many_of_each_score(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = [1] * 4 + [2] * 2 + [3] * 3 + [4] * 5 + [5] * 2
    fluency = [scored(n, "fluency", score) for n, score in enumerate(scores)]
    factuality = [scored(n, "factuality", score) for n, score in enumerate([2, 2, 2, 5])]
    write("scores.jsonl", fluency + factuality)
    kept = []
    for seed in (0, 0, 1):
        command = ["balance", "scores.jsonl", "--out", "kept.jsonl", "--seed", str(seed)]
        command.append("--overwrite")
        assert main(command) == 0
        kept.append(read("kept.jsonl"))
    assert kept[0] == kept[1] != kept[2]
    assert Counter((row["aspect"], row["score"]) for row in kept[0]) == {
        **{("fluency", score): 2 for score in range(1, 6)},
        ("factuality", 2): 1,
        ("factuality", 5): 1,
    }
    order = [row for row in fluency + factuality if row in kept[0]]
    assert kept[0] == order
    assert "factuality: no row has label 1, 3, 4" in capsys.readouterr().err
    assert main(["balance", "scores.jsonl", "--out", "scores.jsonl"]) == 1
    assert len(read("scores.jsonl")) == 20


def scored(number: int, aspect: str, score: int) -> dict[str, Any]:
    texts = {"question": f"q{number}", "response": "r"}
    return {"id": number, **texts, "aspect": aspect, "score": score}


def test_balance_takes_scores_out_of_judgement_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = Usage(calls=1).to_json()

    def score(value: float) -> dict[str, Any]:
        return {"score": value, "label": round(value), "scale": [1, 2, 3, 4, 5]}

    def row(number: int, fluency: float, logicality: float) -> dict[str, Any]:
        scores = {"fluency": score(fluency), "logicality": score(logicality)}
        texts = {"id": number, "question": f"q{number}", "response": "r", "usage": "mine"}
        judged = {"j": {"format_version": 2, "scores": scores, "usage": usage}}
        return {**texts, "judgements": {**judged, "k": {"format_version": 2, "scores": scores}}}

    # A half is the label above it: 2.5 is a 3, of which there are two, and one 1.
    rows = [row(0, 2.5, 4), row(1, 3, 4), row(2, 1, 4), row(3, 2, 4)]
    write("scores.jsonl", rows)
    command = ["balance", "scores.jsonl", "--out", "kept.jsonl"]
    assert main(command) == 1
    assert "scores by j, k; say whose to take with --scored-by" in capsys.readouterr().err
    assert main([*command, "--scored-by", "j"]) == 0
    kept = read("kept.jsonl")
    assert [line["id"] for line in kept] == [0, 1, 2, 3]
    labels = Counter(
        (key, int(each["score"] + 0.5))
        for line in kept
        for key, each in line["judgements"]["j"]["scores"].items()
    )
    assert labels == {**{("fluency", n): 1 for n in (1, 2, 3)}, ("logicality", 4): 4}
    by_id = {line["id"]: line for line in kept}
    assert by_id[2] == rows[2]  # the only 1
    (left_out,) = [n for n in (0, 1) if "fluency" not in by_id[n]["judgements"]["j"]["scores"]]
    assert by_id[left_out]["usage"] == "mine"
    assert by_id[left_out]["judgements"]["k"] == rows[left_out]["judgements"]["k"]
    assert by_id[left_out]["judgements"]["j"]["usage"] == usage


def test_balance_on_a_scale_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"key": "care", "definition": "It checks itself.", "scale": list(range(11))}
    content = {"format_version": 1, "name": "mine", "criteria": [keys]}
    Path("mine.json").write_text(json.dumps(content))
    write("scores.jsonl", [scored(n, "care", n % 11) for n in range(16)])
    command = ["balance", "scores.jsonl", "--out", "kept.jsonl"]
    assert main(command) == 1
    assert "line 1: nothing says on which scale 'care' is scored" in capsys.readouterr().err
    assert main([*command, "--criteria", "mine.json"]) == 0
    assert Counter(row["score"] for row in read("kept.jsonl")) == dict.fromkeys(range(11), 1)
    printed = capsys.readouterr().out
    assert ["care", "10", "1", "1"] in [line.split() for line in printed.splitlines()]
    assert ["care", "0", "2", "1"] in [line.split() for line in printed.splitlines()]
    write("scores.jsonl", [scored(0, "care", 11)])
    assert main([*command, "--criteria", "mine.json"]) == 1
    assert "line 1: 11 is outside the scale 0-10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dataset", "ids"),
    [
        ("gsm8k", ["gsm8k_inspector/train/0", "gsm8k_inspector/train/1"]),
        ("gpqa", ["gpqa_inspector_main/train/0", "gpqa_inspector_main/train/1"]),
    ],
)
def test_collect(
    data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, ids: list[str]
) -> None:
    command = ["collect", "--dataset", dataset, "--model", "dummy", "--data", str(data)]
    assert main([*command, "--out", "got.jsonl", "--limit", "2"]) == 0
    rows = read("got.jsonl")
    assert [row["id"] for row in rows] == ids
    assert {row["response"] for row in rows} == {"lol"}  # what lm_eval's dummy says
    assert rows[1]["question"].startswith("What is 1" if dataset == "gsm8k" else "Which word is 1")
    assert rows[0]["dataset"] == dataset
    # The problem and nothing else, so that a prompted judge sees what the evaluated model saw.
    assert "boxed" not in rows[0]["question"]
    lettered = [line[:4] for line in rows[1]["question"].splitlines()[1:]]
    assert lettered == ([] if dataset == "gsm8k" else ["(A) ", "(B) ", "(C) ", "(D) "])


@pytest.mark.usefixtures("folder")
def test_cache_command(server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    label(server, "--limit", "3")
    capsys.readouterr()
    assert main(["cache", "info"]) == 0
    out = capsys.readouterr().out
    assert "3 judgements" in out
    assert "3 inspector_plugin.judges.prompt.judge.PromptJudge" in out
    assert main(["cache", "clear", "--judge", "other"]) == 0
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == "0 judgements forgotten\n3 judgements forgotten\n"


def test_lm_eval_reports_agreement_of_probes_and_prompt_judge(
    data: Path, tmp_path: Path, tiny_lm: Path, server: ChatServer
) -> None:
    write_pack(tmp_path / "probes", load_language_model(str(tiny_lm), "cpu"), "multiclass")
    metadata = {
        "judge": f"inspector:model={tiny_lm},probes={tmp_path / 'probes'},device=cpu",
        "reference": f"prompt:base_url={server.url},model=m",
        "data": str(data),
        "resamples": 20,
    }
    run: Callable[[], dict[str, Any]] = lambda: evaluate(  # noqa: E731
        "gsm8k_inspector", Parrot("a", "bb", "ccc", "dddd"), metadata, limit=4
    )
    results = run()
    row = results["results"]["gsm8k_inspector"]
    config = results["configs"]["gsm8k_inspector"]
    agreement = config["agreement"]["judges"]["inspector"]
    assert agreement["fluency"]["n"] == 4
    assert agreement["overall"]["n"] == 20
    assert -1 <= row["quadratic_kappa,inspector"] <= 1
    assert (
        round(row["quadratic_kappa,inspector"], 4)
        == (agreement["overall"]["quadratic_kappa"]["value"])
    )
    assert row["fluency,prompt"] == (2 + 3 + 4 + 5) / 4
    usage = config["scores"]["prompt"]["usage"]
    assert (usage["calls"], usage["prompt_tokens"]) == (20, 20_000)
    assert "usage" not in config["scores"]["inspector"]
    again = run()["configs"]["gsm8k_inspector"]["scores"]["prompt"]["usage"]
    assert (again["calls"], again["reused"]) == (0, 20)
    assert len(server.calls) == 20

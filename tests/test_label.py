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
from inspector_plugin.judging import judge_all
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.plugins import create_judge
from inspector_plugin.prompting import endpoint
from inspector_plugin.schema import JudgeRequest

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


def label(server: ChatServer, *arguments: str, options: str = "") -> int:
    spec = f"prompt:model=m,base_url={server.url},prices=prices.json{options}"
    usual = ("--judge", spec, "--out", "out.jsonl", "--aspects", "fluency")
    return main(["label", "in.jsonl", *usual, *arguments])


@pytest.mark.usefixtures("folder")
def test_scores_are_written_for_recorded_and_train(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(server, "--dataset", "gsm8k") == 0
    rows = read("out.jsonl")
    assert rows[2] == ROWS[2] | {
        "dataset": "gsm8k",
        "aspect": "fluency",
        "score": score_of(str(ROWS[2]["response"])),
        "justification": "because",
    }
    # Six calls of 1000 prompt and 50 completion tokens at a dollar a million.
    assert "6 calls, 6000 prompt tokens" in (out := capsys.readouterr().out)
    assert "$0.0063" in out
    with create_judge("recorded:path=out.jsonl") as recorded:
        judged = judge_all(
            recorded, [JudgeRequest(r["question"], r["response"], ("fluency",)) for r in rows]
        )
    assert [each.total for each in judged] == [row["score"] for row in rows]


@pytest.mark.usefixtures("folder")
def test_a_second_run_asks_only_for_what_is_missing(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
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
    assert len(read("out.jsonl")) == 5
    [missing] = read("out.jsonl.unscored.jsonl")
    assert (missing["id"], missing["reason"]) == (1, "server error (500), 2 times")
    unreadable[0] = False
    with Path("out.jsonl").open("a") as file:
        file.write('{"id": 3, "questi')  # a line whose writing was interrupted
    before = len(server.calls)
    assert label(server, "--no-cache") == 0
    assert len(server.calls) == before + 1
    assert sorted(row["id"] for row in read("out.jsonl")) == [0, 1, 2, 3, 4, 5]
    assert not Path("out.jsonl.unscored.jsonl").exists()
    assert label(server, "--no-cache") == 0
    assert len(server.calls) == before + 1


@pytest.mark.usefixtures("folder")
def test_a_reply_that_cannot_be_used_is_kept(server: ChatServer) -> None:
    server._script = lambda body, number: Answer(content="\x1b[31m five!")
    assert label(server, "--limit", "1") == 0
    [missing] = read("out.jsonl.unscored.jsonl")
    assert missing["reply"] == "\x1b[31m five!"
    assert read("out.jsonl") == []


@pytest.mark.usefixtures("folder")
def test_max_cost_stops_and_a_higher_one_goes_on(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ",max_tokens=50,concurrency=1"
    assert label(server, "--max-cost", "0.006", options=options) == 1
    done = len(read("out.jsonl"))
    assert 0 < done < 6
    assert "the cost could pass max_cost $0.006" in capsys.readouterr().err
    assert label(server, "--max-cost", "1", options=options) == 0
    assert (len(server.calls), len(read("out.jsonl"))) == (6, 6)


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
        ((), ",max_tokens=9", "comes from another run (other judge"),
        (("--out", "in.jsonl"), "", "is the input itself"),
        ((), ",labels=binary", "leave out labels=binary"),
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
    assert "factuality: no row has score 1, 3, 4" in capsys.readouterr().err
    assert main(["balance", "scores.jsonl", "--out", "scores.jsonl"]) == 1
    assert len(read("scores.jsonl")) == 20


def scored(number: int, aspect: str, score: int) -> dict[str, Any]:
    texts = {"question": f"q{number}", "response": "r"}
    return {"id": number, **texts, "aspect": aspect, "score": score}


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


@pytest.mark.usefixtures("folder")
def test_cache_command(server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    label(server, "--limit", "3")
    capsys.readouterr()
    assert main(["cache", "info"]) == 0
    out = capsys.readouterr().out
    assert "3 judgements" in out
    assert "3 inspector_plugin.judges.prompt.PromptJudge" in out
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
    assert row["fluency_n,inspector"] == 4
    assert row["overall_n,inspector"] == 20
    assert -1 <= row["overall_quadratic_kappa,inspector"] <= 1
    assert row["fluency,prompt"] == (2 + 3 + 4 + 5) / 4
    usage = results["configs"]["gsm8k_inspector"]["metadata"]["inspector"]["usage"]["prompt"]
    assert (usage["calls"], usage["prompt_tokens"]) == (20, 20_000)
    again = run()["configs"]["gsm8k_inspector"]["metadata"]["inspector"]["usage"]["prompt"]
    assert (again["calls"], again["reused"]) == (0, 20)
    assert len(server.calls) == 20

"""Generate, refine and score by one endpoint on loopback, as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, error, response_of
from endpoint_judges import Serve
from rubric_models import TRAIT, MetaJudge, item, items_reply, said, trait
from task_data import write_rows

from inspector_plugin.cli import rubric_models
from inspector_plugin.cli.main import main
from inspector_plugin.judges.prompt import endpoint
from inspector_plugin.schema.rubric_files import read_rubric_file

STATEMENT = re.compile(r'key "(\w+)":\n=== statement \w+\n(.*?)\n=== end of statement', re.DOTALL)
QUALITY = re.compile(r'"(data_set_rubric_\w+)": \{"score"')


def answer(body: dict[str, Any]) -> Answer:
    """Write rubrics, judge items by the words of the response, and rate rubrics with 4."""
    text = said(body)
    if text.startswith("You write rubrics"):
        if "data set" not in text:
            texts = [f"The alpha{n} beta{n} gamma{n} delta{n}: trait half" for n in range(5)]
            return items_reply(*map(item, texts))
        return items_reply(trait("good"), trait("half"), trait("odd"))
    if text.startswith("You check written solutions"):
        words = response_of(body).split()
        answers = {
            key: {"answer": "yes" if TRAIT.findall(statement)[0] in words else "no"}
            for key, statement in STATEMENT.findall(text)
        }
        return Answer(json.dumps(answers))
    keys = dict.fromkeys(QUALITY.findall(text))
    assert keys
    return Answer(json.dumps({key: {"score": 4} for key in keys}))


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": n, "question": f"How many jars are on shelf {n}?", "response": text, "score": score}
        for n in range(count)
        for text, score in (
            (f"good common {'half' if n % 4 else ''} {n}", 5),
            (f"bad common {'odd' if n % 2 else ''} {n}", 2),
        )
    ]


def test_generate_refine_and_score_survive_kills(
    serve: Serve, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.01)
    write_rows(tmp_path / "jars.jsonl", rows(20))
    dies_at: list[int] = []

    def script(body: dict[str, Any], number: int) -> Answer:
        if number in dies_at:
            return Answer(status=401, body=error("the key was withdrawn"))
        return answer(body)

    server = serve(script)
    spec = f"prompt:model=m,base_url={server.url},concurrency=2"
    generate = ["rubric", "generate", "jars.jsonl", "--scope", "both", "--fewest", "2"]
    refine = ["rubric", "refine", "rubric.yaml", "--data", "jars.jsonl", "--rounds", "1"]
    commands = [
        [*generate, "--generator", spec, "--out", "rubric.yaml"],
        [*refine, "--generator", spec, "--out", "refined.yaml"],
        [
            "score",
            "jars.jsonl",
            "--judge",
            f"{spec},mode=joint",
            "--criteria",
            "refined.yaml",
            "--out",
            "s.jsonl",
        ],
    ]
    for command in commands:
        # Once, it dies after four calls; then it is called again.
        dies_at[:] = [len(server.calls) + 4]
        assert main(command) == 1
        dies_at.clear()
        assert main(command) == 0
    printed, remarks = capsys.readouterr()
    # "The alpha1 beta1 gamma1 delta1: trait half" has no verb.
    assert re.search(r"it has \d+ errors and \d+ warnings?: inspector rubric lint rubric", remarks)
    assert "20 of 20 problems have items of their own" in printed
    assert "pair accuracy by labels on the held split" in printed
    asked = [json.dumps(body["messages"]) for body in server.calls]
    # What two calls were under way for when it died may have been asked twice.
    assert len(asked) - len(set(asked)) <= 2 * len(commands)
    refined = read_rubric_file("refined.yaml")
    assert trait("good")["text"] in {each.text for each in refined.criterion.items}
    assert len(refined.criterion.instances) == 20
    scored = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
    [judge] = {name for row in scored for name in row["judgements"]}
    means = [
        sum(row["judgements"][judge]["scores"]["rubric"]["score"] for row in scored[start::2]) / 20
        for start in (0, 1)
    ]
    assert means[0] > means[1]


def test_a_dry_run_of_both_asks_nothing(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "jars.jsonl", rows(20))
    spec = "prompt:model=gpt-4o,base_url=http://127.0.0.1:1"
    command = ["rubric", "generate", "jars.jsonl", "--generator", spec, "--dry-run"]
    assert main(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "generator: 1 call," in printed
    assert "judge: 24 calls" in printed
    items = [{"key": "a", "text": trait("half")["text"]}, {"key": "b", "text": "trait odd here"}]
    rubric = {"format_version": 1, "name": "n", "criteria": [{"key": "rubric", "items": items}]}
    (tmp_path / "r.json").write_text(json.dumps(rubric))
    refine = ["rubric", "refine", "r.json", "--data", "jars.jsonl", "--generator", spec]
    assert main([*refine, "--dry-run", "--by", "meta-judge"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "generator: 16 calls" in printed
    # 20 pairs of responses in both orders, and 16 rewrites.
    assert "meta-judge: 56 calls" in printed


@pytest.mark.parametrize("action", ["generate", "refine"])
def test_judges_that_know_no_items_are_refused_before_a_call(
    serve: Serve, tmp_path: Path, monkeypatch: Any, capsys: Any, action: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "jars.jsonl", rows(8))
    items = [{"key": "a", "text": trait("half")["text"]}]
    rubric = {"format_version": 1, "name": "n", "criteria": [{"key": "rubric", "items": items}]}
    (tmp_path / "r.json").write_text(json.dumps(rubric))
    server = serve()
    monkeypatch.setattr(rubric_models, "make_judge", lambda *args, **kwargs: MetaJudge())
    data = ["jars.jsonl"] if action == "generate" else ["r.json", "--data", "jars.jsonl"]
    spec = f"prompt:model=m,base_url={server.url}"
    command = ["rubric", action, *data, "--generator", spec, "--judge", "inspector"]
    assert main([*command, "--out", "out.yaml"]) == 1
    assert "does not execute the items of a rubric" in capsys.readouterr().err
    assert not server.calls

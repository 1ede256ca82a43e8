"""Generating rubrics: what is asked, merged and kept, against a scripted server."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import Answer, ChatServer, error
from endpoint_judges import Serve
from rubric_models import TraitJudge, item, items_reply, problem, said, trait
from task_data import write_rows

from inspector_plugin.cli import rubric_models
from inspector_plugin.cli.main import main
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt import endpoint
from inspector_plugin.rubrics.generate import (
    Plan,
    data_set_asks,
    generate_for_data_set,
    generate_for_problems,
    shown_for,
    verdict_rows,
)
from inspector_plugin.rubrics.merge import (
    alike_in_text,
    alike_in_verdicts,
    chosen,
    merged_by_text,
)
from inspector_plugin.rubrics.near import StoredRubric, nearest
from inspector_plugin.rubrics.verdicts import Row, VerdictTable
from inspector_plugin.rubrics.writer import make_writer
from inspector_plugin.schema.rubric_files import read_rubric_file
from inspector_plugin.schema.rubrics import RubricItem

NAN = float("nan")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.01)


def statement(text: str, kind: str = "rule") -> RubricItem:
    return RubricItem("key", text, kind)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("The response states the final answer.", "The final answer is stated.", True),
        ("The response states the final answer.", "The response checks each unit.", False),
        ("The response states the final answer.", "It does not state the final answer.", False),
        ("The response states the final answer.", "!It does not state the final answer.", True),
        ("The response states the final answer.", "!The response states the final answer.", False),
    ],
)
def test_what_is_alike_in_words(one: str, other: str, alike: bool) -> None:
    kind = "pitfall" if other.startswith("!") else "rule"
    assert alike_in_text(statement(one), statement(other.lstrip("!"), kind)) == alike


def test_near_duplicates_of_batches_support_each_other() -> None:
    batches = [
        [statement("The response checks each unit."), statement("It states the final answer.")],
        [statement("The final answer is stated."), statement("States a final answer.")],
    ]
    merged = merged_by_text(batches)
    assert [(each.item.text, each.support) for each in merged] == [
        ("It states the final answer.", 2),
        ("The response checks each unit.", 1),
    ]


def test_correlation_of_verdicts() -> None:
    column = np.array([0, 0, 1, 1, 0, 1, 0, 1.0])
    assert alike_in_verdicts(column, 1 - column) == pytest.approx(-1)
    assert alike_in_verdicts(column, np.ones(8)) is None
    assert alike_in_verdicts(column, np.where(np.arange(8) < 1, NAN, column)) is None


def test_what_is_chosen_among_proposals() -> None:
    """Worth 0, .5 (twice the same verdicts), -.5, nan: the order is by worth."""
    proposals = merged_by_text([[statement(f"Word{n} alone{n} here{n}") for n in range(5)]])
    good, bad = np.array([1, 1, 1, 0, 0, 0, 1, 1.0]), np.array([0, 1, 0, 1, 0, 1, 0, 1.0])
    other = np.array([1, 1, 0, 0, 1, 1, 0, 0.0])
    values = np.stack([other, good, good, bad, np.ones(8)], axis=1)
    worth = np.array([0, 0.5, 0.5, -0.5, 0])
    kept, dropped = chosen(proposals, values, worth, 2, 5)
    assert kept == [1, 0, 4]
    assert "its verdicts are those of" in dropped[2]
    assert dropped[3] == "it prefers worse responses"
    assert chosen(proposals, values, worth, 4, 5)[0] == [1, 0, 4, 3]
    assert chosen(proposals, values, worth, 1, 2)[0] == [1, 0]


@pytest.mark.parametrize(("responses", "kept"), [(42, [0]), (38, [0, 1])])
def test_verdicts_are_alike_from_a_correlation_of_nine_tenths(
    responses: int, kept: list[int]
) -> None:
    """Half of n responses meet each item, and two of n differ: r = 1 - 4 / n, .905 or .895."""
    first = np.repeat([1.0, 0.0], responses // 2)
    second = first.copy()
    second[[0, -1]] = [0, 1]
    proposals = merged_by_text([[statement(f"Word{n} alone{n} here{n}") for n in range(2)]])
    values = np.stack([first, second], axis=1)
    assert chosen(proposals, values, np.zeros(2), 1, 5)[0] == kept


def test_the_nearest_rubrics() -> None:
    def stored(name: str, question: str) -> StoredRubric:
        return StoredRubric(name, question, (statement(f"About {question}"),))

    known = [stored("a", "red apples on trees"), stored("b", "a train leaves Rome at noon")]
    asked = [("c", "When does the train reach Rome?"), ("b", "train Rome noon"), ("d", "xyzzy")]
    found = nearest(asked, known, 2)
    assert [[items[0].text for items in near] for near in found] == [
        ["About a train leaves Rome at noon"],
        [],
        [],
    ]
    assert nearest(asked, [], 2) == [[], [], []]


def problems_with_traits(count: int) -> list[Any]:
    """Better responses have good and fine, worse ones bad; all have common."""
    return [
        problem(n, [f"good fine common {n}", f"bad common {n}"], [1.0, 0.0]) for n in range(count)
    ]


def table_of(judge: TraitJudge) -> Any:
    return lambda rows: VerdictTable(judge, rows, None)


def writer_at(server: ChatServer) -> Any:
    return make_writer(f"prompt:model=m,base_url={server.url}")


def test_planted_good_items_are_kept_and_bad_ones_left_out(serve: Serve) -> None:
    # "fine" goes with "good" in every response, "bad" prefers worse responses.
    proposed = [trait("good"), trait("fine"), trait("bad"), trait("common")]
    server = serve(lambda body, number: items_reply(*proposed))
    judge = TraitJudge()
    plan = Plan(batch_size=5, batches=2, fewest=2, most=12)
    with writer_at(server) as writer:
        found = generate_for_data_set(problems_with_traits(20), writer, table_of(judge), plan)
    assert len(server.calls) == 2
    assert [each.text for each in found.items] == [trait("good")["text"], trait("common")["text"]]
    assert (found.proposed, found.merged) == (8, 4)
    reasons = {each.text: why for each, why in found.dropped if each.kind == "rule"}
    assert "verdicts are those" in reasons[trait("fine")["text"]]
    assert "verdicts are those" in reasons[trait("bad")["text"]]  # the reverse of "good"
    keys = [each.key for each in found.items]
    assert keys == ["good_goodly_goodwise_trait", "common_commonly_commonwise_trait"]
    assert set(judge.asked.values()) == {24}


def test_batches_show_better_and_worse_and_hold_each_problem_once() -> None:
    asks = data_set_asks(problems_with_traits(50), Plan(batch_size=20))
    shown = [re.findall(r"shelf (\d+)", ask.user) for ask in asks]
    assert [len(each) for each in shown] == [17, 17, 16]
    assert sorted(shelf for each in shown for shelf in each) == sorted(str(n) for n in range(50))
    assert asks[0].user.count("(better)") == asks[0].user.count("(worse)") == 34
    assert [ask.user for ask in data_set_asks(problems_with_traits(50), Plan(batch_size=20))] == [
        ask.user for ask in asks
    ]


def test_verdicts_are_asked_on_contrasting_responses_first() -> None:
    some = [problem(n, ["a", "b", "c"], [1, 0.5, 0]) for n in range(3)]
    rows = verdict_rows(some, Plan(verdict_rows=7))
    assert [row.place for row in rows] == [0, 2, 0, 2, 0, 2, 1]
    assert all(isinstance(row, Row) for row in rows)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Answer("It should be a good response to the problem."), "proposed no items in 1 batches"),
        (items_reply(trait("good"), trait("bad")), "Only 1 items that differ"),
    ],
)
def test_too_little_for_a_rubric(serve: Serve, reply: Answer, message: str) -> None:
    server = serve(lambda body, number: reply)
    with writer_at(server) as writer, pytest.raises(JudgeError, match=message):
        generate_for_data_set(problems_with_traits(4), writer, table_of(TraitJudge()), Plan())


def test_two_contrasting_responses_unmarked_and_in_random_order() -> None:
    some = [problem(n, ["bad", "middling", "good"], [0, 0.5, 1]) for n in range(40)]
    shown = [shown_for(each, 0).responses for each in some]
    assert {mark for pair in shown for mark, _ in pair} == {""}
    assert {tuple(text for _, text in pair) for pair in shown} == {("bad", "good"), ("good", "bad")}
    first = sum(pair[0][1] == "good" for pair in shown)
    assert 10 < first < 30
    unlabelled = problem(0, ["a b c", "a b d", "x y z", "a b c"])
    assert {text for _, text in shown_for(unlabelled, 0).responses} == {"a b c", "x y z"}
    assert shown_for(problem(0, ["same", "same"]), 0).responses == ()


def five(number: object) -> Answer:
    return items_reply(*(item(f"Alpha{n} beta{number} gamma{n}{number}") for n in range(5)))


def test_items_for_problems(serve: Serve) -> None:
    def script(body: dict[str, Any], number: int) -> Answer:
        [shelf] = re.findall(r"shelf (\d+)\?", said(body))
        if shelf == "3":
            return items_reply(*(item(f"Alpha{n} beta{n} gamma") for n in range(3)))
        return five(shelf)

    server = serve(script)
    some = [problem(n, [f"one {n}", f"two {n}"]) for n in range(20)] + [problem(20, [])]
    mine = (RubricItem("alpha0_beta0_gamma00", "Alpha0 beta0 gamma00"),)
    with writer_at(server) as writer:
        found = generate_for_problems(
            some,
            writer,
            Plan(),
            items=mine,
            judged=lambda problem, response: response == "one 1",
            source="jars",
        )
    assert len(server.calls) == 21
    by_id = {each.id: each for each in found.instances}
    assert len(by_id) == 20
    assert found.failed == {"fewer than 4 different items were written": 1}
    assert found.alone == 1
    # What the data set's rubric says already is left out, and no key is given twice.
    assert len(by_id["0"].items) == 4
    assert len(by_id["1"].items) == 5
    assert [each.id for each in found.instances if each.transductive] == ["1"]
    assert by_id["2"].problem == problem_identity("How many jars are on shelf 2?")
    # The first problems begin without rubrics of others, the rest see the two nearest.
    near = [said(body).count("A rubric for a similar problem:") for body in server.calls]
    assert sorted(near) == [0] * 16 + [2] * 5


@pytest.fixture
def judged_by_traits(monkeypatch: pytest.MonkeyPatch) -> TraitJudge:
    judge = TraitJudge()
    monkeypatch.setattr(rubric_models, "make_judge", lambda *args, **kwargs: judge)
    return judge


def rows(count: int, labelled: bool = True) -> list[dict[str, Any]]:
    return [
        {"id": n, "question": f"How many jars are on shelf {n}?", "response": response}
        | ({"is_correct": response.startswith("good")} if labelled else {})
        for n in range(count)
        for response in (f"good fine common {n}", f"bad common {n}")
    ]


def generator_script(body: dict[str, Any], number: int) -> Answer:
    if "data set" in said(body):
        return items_reply(*map(trait, ["good", "common", "fine", "odd"]), trait("bad", "pitfall"))
    [shelf] = re.findall(r"shelf (\d+)\?", said(body))[:1]
    return five(shelf)


def test_the_command(
    serve: Serve, tmp_path: Path, judged_by_traits: TraitJudge, capsys: Any
) -> None:
    data, out = tmp_path / "jars.jsonl", tmp_path / "rubric.yaml"
    write_rows(data, rows(12))
    server = serve(generator_script)
    command = ["rubric", "generate", str(data), "--scope", "both", "--out", str(out)]
    command += ["--generator", f"prompt:model=m,base_url={server.url}", "--fewest", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "12 of 12 problems have items of their own; 12 of them were made from" in printed
    assert "generator: 13 calls" in printed
    file = read_rubric_file(out)
    assert not file.is_edited
    assert file.source is not None
    assert file.source.startswith("jars.jsonl (12 problems, sha256 ")
    assert len(file.generator["problems"]) == 12
    assert file.generator["model"] == "m"
    assert len(file.criterion.instances) == 12
    assert main(command) == 1
    assert "pass --overwrite" in capsys.readouterr().err
    before = out.read_text()
    assert main([*command, "--overwrite"]) == 0
    assert "generator: 0 calls" in capsys.readouterr().out
    assert len(server.calls) == 13
    assert out.read_text() == before
    assert main(["cache", "info"]) == 0
    assert "13 replies of rubric generators" in capsys.readouterr().out
    judged = tmp_path / "judged.jsonl"
    write_rows(judged, rows(1))
    assert main([*command, "--overwrite", "--judged", str(judged)]) == 0
    assert [each.id for each in read_rubric_file(out).criterion.instances if each.transductive] == [
        "0"
    ]
    assert main(["cache", "clear", "--replies"]) == 0
    assert capsys.readouterr().out.endswith("13 replies forgotten\n")


def test_a_killed_run_resumes_and_pays_for_nothing_twice(
    serve: Serve, tmp_path: Path, judged_by_traits: TraitJudge, capsys: Any
) -> None:
    data, out = tmp_path / "jars.jsonl", tmp_path / "rubric.json"
    write_rows(data, rows(12))
    dead = True

    def script(body: dict[str, Any], number: int) -> Answer:
        if dead and number == 6:
            return Answer(status=401, body=error("the key was withdrawn"))
        return generator_script(body, number)

    server = serve(script)
    spec = f"prompt:model=m,base_url={server.url},concurrency=1"
    command = ["rubric", "generate", str(data), "--scope", "both", "--out", str(out)]
    command += ["--generator", spec, "--fewest", "2"]
    assert main(command) == 1
    assert "401" in capsys.readouterr().err
    assert not out.exists()
    dead = False
    assert main(command) == 0
    assert len(server.calls) == 7 + (13 - 6)
    asked = [json.dumps(body["messages"]) for body in server.calls]
    assert len(set(asked)) == 13


def test_a_dry_run_says_calls_tokens_and_cost(
    serve: Serve, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    data = tmp_path / "jars.jsonl"
    write_rows(data, rows(12))
    monkeypatch.setattr(rubric_models, "make_judge", lambda *args, **kwargs: None)
    command = ["rubric", "generate", str(data), "--scope", "both", "--dry-run"]
    assert main([*command, "--generator", "prompt:model=gpt-4o,base_url=http://127.0.0.1:1"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"generator: 13 calls, \d+ prompt tokens, 5940 completion", printed)
    assert re.search(r"\$0\.0[5-9]", printed)
    assert main([*command, "--generator", "some-model", "--scope", "instance"]) == 0
    assert "$0.0000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        ([], [], "holds no rows"),
        (["--fewest", "13"], rows(1), "--fewest 13 is more than --most 12"),
        (["--out", "rubric.txt"], rows(1), "a rubric file ends in .yaml"),
        (["--generator", "inspector:probe=x"], rows(1), "writes no text"),
        (["--stored", "stored.yaml"], rows(1), "it is for other problems"),
    ],
)
def test_bad_input(
    tmp_path: Path,
    monkeypatch: Any,
    capsys: Any,
    arguments: Sequence[str],
    content: list[Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "jars.jsonl", content)
    items = [{"key": "a", "text": "It is right."}, {"key": "b", "text": "It is short."}]
    instance = {"problem": problem_identity("What is it?"), "items": items}
    criterion = {"key": "rubric", "instances": [instance]}
    stored = {"format_version": 1, "name": "stored", "criteria": [criterion]}
    (tmp_path / "stored.yaml").write_text(json.dumps(stored))
    command = ["rubric", "generate", "jars.jsonl", "--generator", "deepseek", "--out", "r.yaml"]
    assert main([*command, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_no_contrast_is_said(
    serve: Serve, tmp_path: Path, judged_by_traits: TraitJudge, capsys: Any
) -> None:
    data, out = tmp_path / "jars.jsonl", tmp_path / "rubric.yaml"
    write_rows(data, rows(6, labelled=False)[::2])
    server = serve(generator_script)
    command = ["rubric", "generate", str(data), "--scope", "both", "--out", str(out)]
    command += ["--generator", f"prompt:model=m,base_url={server.url}", "--fewest", "2"]
    assert main(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no contrast: the data has no labels" in printed
    assert "no contrast: 6 of 6 problems have no two different responses" in printed
    assert not any(each.transductive for each in read_rubric_file(out).criterion.instances)

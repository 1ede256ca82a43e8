"""Refining a rubric: what is split, dropped, weighed, rewritten and accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, error
from endpoint_judges import Serve
from rubric_models import MetaJudge, TraitJudge, item, items_reply, problem, said, trait
from rubric_refining import labelled, no_answer, of_trait, refined, split_of
from task_data import write_rows

from inspector_plugin.cli import rubric_models
from inspector_plugin.cli.main import main
from inspector_plugin.errors import DataError, JudgeError
from inspector_plugin.judges.prompt import endpoint
from inspector_plugin.rubrics.preferences import by_meta_judge
from inspector_plugin.rubrics.refine_log import as_text
from inspector_plugin.rubrics.verdicts import rows_of
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.rubric_files import RubricFile, read_rubric_file
from inspector_plugin.schema.rubrics import RubricItem

NAN = float("nan")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.01)


def test_the_meta_judge_counts_where_the_order_does_not_matter() -> None:
    some = [problem(1, ["good", "so"]), problem(2, ["no", "so"]), problem(3, ["x", "x"])]
    judge = MetaJudge()
    found = by_meta_judge(rows_of(some), judge, None, 10)
    assert (found.by, judge.compared) == ("meta-judge", 4)
    # In problem 2 it always says the first.
    assert list(zip(found.better, found.worse, strict=True)) == [(0, 1)]
    with pytest.raises(DataError, match="holds no contrast"):
        by_meta_judge(rows_of(some[2:]), judge, None, 10)


def test_bad_items_and_repeats_are_dropped_good_ones_kept(serve: Serve) -> None:
    items = tuple(map(of_trait, ["odd", "good", "bad", "common"]))
    repeat = RubricItem("again", "Another wording, trait good")
    found = refined(serve(no_answer), (*items, repeat), rounds=1, rewrites=0)
    assert [each.key for each in found.items] == ["good", "common"]
    # The common item tells nothing apart; all weight goes to the good one.
    assert [each.weight for each in found.items] == [2, 0]
    dropped = {e.before[0].key: e.why for e in found.log if e.step == "dropped" and e.accepted}
    assert "prefers the worse response (by labels: -0.50 a pair)" in dropped["odd"]
    assert "prefers the worse response" in dropped["bad"]
    assert "repeats (r = 1.00)" in dropped["again"]
    # Half of the worse responses are odd, and score as high as the better ones.
    assert (found.first, found.last) == (0.75, 1.0)


def test_items_without_a_verdict_are_not_said_to_be_met_by_none() -> None:
    split = split_of(labelled(4), TraitJudge(unread="odd"))
    assert split.findings(tuple(map(of_trait, ["good", "odd"]))).splitlines() == [
        f"- [rule, weight 1] {trait('good')['text']} (met by 50% of the responses; better ones do "
        "better by +1.00)",
        f"- [rule, weight 1] {trait('odd')['text']} (no verdict could be read)",
    ]


def test_items_met_by_nearly_all_are_split(serve: Serve) -> None:
    def script(body: dict[str, Any], number: int) -> Answer:
        assert "Nearly every response meets this statement" in said(body)
        return items_reply(trait("good"), trait("half"))

    server = serve(script)
    found = refined(server, (of_trait("common"), of_trait("odd")), rounds=1, rewrites=0)
    assert len(server.calls) == 1
    [entry] = [entry for entry in found.log if entry.step == "split"]
    assert entry.why == "100% of the responses meet it"
    assert [each.text for each in found.items] == [trait("good")["text"], trait("half")["text"]]
    assert (found.first, found.last) == (0.25, 1.0)
    same = serve(lambda body, number: items_reply(trait("common"), item("Other: trait common")))
    found = refined(same, (of_trait("common"), of_trait("good")), rounds=1, rewrites=0)
    assert [e.accepted for e in found.log if e.step == "split"] == [False]
    assert {each.key for each in found.items} == {"common", "good"}


def rewriting(body: dict[str, Any], number: int) -> Answer:
    """The first rewrite is better, the second worse than "half", the others are no rubrics."""
    if "Fit the statements" in said(body) or "Replace statements" in said(body):
        return Answer("I do not know how.")
    good = "Make vague statements" in said(body)
    return items_reply(trait("good" if good else "odd"), trait("half" if good else "rare"))


@pytest.mark.parametrize(("favoured", "accepted"), [("good", True), ("odd", False)])
def test_a_better_rewrite_is_accepted_and_a_worse_one_refused(
    serve: Serve, favoured: str, accepted: bool
) -> None:
    meta_judge = MetaJudge(lambda text: 5 if favoured in text else 2)
    items = (of_trait("half"), of_trait("rare"))
    found = refined(serve(rewriting), items, None, meta_judge, rounds=1, rewrites=4)
    entry = found.log[-1]
    assert (entry.step, entry.accepted) == ("rewritten", accepted)
    assert entry.figures["by"] == "labels"
    assert entry.figures["unreadable"] == 2
    assert sorted(entry.figures["meta_judge_ratings"]) == [0.25, 1.0]
    # Of held problems, 6 of 8 better responses have "half": (6 + 2 / 2) / 8.
    assert found.first == 0.875
    assert found.last == (1.0 if accepted else 0.875)
    keys = {each.text for each in found.items}
    assert (trait("good")["text"] in keys) == accepted
    text = as_text(found.log)
    assert "held split, 8 pairs by labels: 0.875 before" in " ".join(text.split())
    assert ("rewritten, refused" in text) != accepted
    # Steps that led to a rewrite that is refused say so.
    said_so = "undone, as 'rewritten' below was refused" in " ".join(text.split())
    assert said_so != accepted


def test_k_and_rounds_are_honoured_and_calls_counted(serve: Serve) -> None:
    server = serve(lambda body, number: items_reply(trait("odd"), trait("rare")))
    meta_judge, judge = MetaJudge(), TraitJudge()
    items = (of_trait("half"), of_trait("rare"))
    found = refined(server, items, judge, meta_judge, rounds=3, rewrites=8)
    assert len(server.calls) == 3 * 8
    asked = [said(body) for body in server.calls]
    assert len(set(asked)) == 24
    assert [entry.round for entry in found.log if entry.step == "rewritten"] == [1, 2, 3]
    # The eight are one rubric, which is rated once a round; no item is judged twice on a response,
    # and one that is dropped on the development split is not judged on the other.
    assert len(meta_judge.rated) == 3
    assert judge.asked == {
        trait(name)["text"]: count for name, count in (("half", 40), ("rare", 40), ("odd", 24))
    }
    assert found.items[0].key == "half"


def test_statements_that_stay_keep_their_keys(serve: Serve) -> None:
    server = serve(lambda body, number: items_reply(trait("half"), trait("good")))
    items = (of_trait("half"), of_trait("rare"))
    found = refined(server, items, rounds=1, rewrites=1)
    assert found.last == 1
    assert [each.key for each in found.items] == ["half", "good_goodly_goodwise_trait"]


def test_nothing_is_read(serve: Serve) -> None:
    with pytest.raises(JudgeError, match="gave no verdict on 16 of 16 items"):
        refined(serve(no_answer), (of_trait("half"),), TraitJudge(unread="half"))


MakeJudges = Callable[[], tuple[TraitJudge, MetaJudge]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> tuple[TraitJudge, MetaJudge]:
    judges = TraitJudge(), MetaJudge(lambda text: 5 if "good" in text else 1)
    monkeypatch.setattr(
        rubric_models,
        "make_judge",
        lambda spec, *args, **kwargs: judges[1] if spec.name == "meta" else judges[0],
    )
    return judges


def write_dev(path: Path, count: int = 30, labels: bool = True) -> None:
    rows = []
    for n, each in enumerate(labelled(count)):
        for response, label in zip(each.responses, each.labels, strict=True):
            row = {"id": n, "question": each.question, "response": response}
            rows.append(row | ({"label": label} if labels else {}))
    write_rows(path, rows)


def write_rubric(path: Path, *items: RubricItem) -> None:
    criterion = Criterion("rubric", "Rubric", items=items)
    made_from = {"problems": ["0" * 16]}
    path.write_text(RubricFile("jars", criterion, "by hand", made_from).text(".yaml"))


def command(tmp_path: Path, url: str, *more: str) -> list[str]:
    spec = f"prompt:model=m,base_url={url},concurrency=1"
    return [
        *["rubric", "refine", str(tmp_path / "r.yaml"), "--data", str(tmp_path / "dev.jsonl")],
        *["--generator", spec, "--meta-judge", "meta", "--out", str(tmp_path / "out.yaml"), *more],
    ]


@pytest.mark.parametrize("labels", [True, False])
def test_the_command(
    serve: Serve,
    tmp_path: Path,
    scripted: tuple[TraitJudge, MetaJudge],
    capsys: Any,
    labels: bool,
) -> None:
    write_dev(tmp_path / "dev.jsonl", labels=labels)
    write_rubric(tmp_path / "r.yaml", of_trait("half"), of_trait("rare"))
    server = serve(rewriting)
    assert main(command(tmp_path, server.url)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    by = "labels" if labels else "meta-judge"
    assert re.search(
        rf"pair accuracy by {by} on the held split: 0\.\d+ before, 1.000 after", printed
    )
    file = read_rubric_file(tmp_path / "out.yaml")
    assert trait("good")["text"] in {each.text for each in file.criterion.items}
    assert file.source == "by hand"
    # Those that it was made from stay out of evaluations, too.
    assert len(file.generator["problems"]) == 30 + 1
    assert "0" * 16 in file.generator["problems"]
    assert file.generator[f"held_pair_accuracy_by_{by.replace('-', '_')}"]["after"] == 1
    log = [json.loads(line) for line in (tmp_path / "out.yaml.log.jsonl").open()]
    assert {entry["figures"]["by"] for entry in log if "by" in entry.get("figures", {})} == {by}
    assert "rewritten" in (tmp_path / "out.yaml.log.txt").read_text()
    assert (scripted[1].compared == 0) == labels
    assert main(["rubric", "show", str(tmp_path / "out.yaml")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"generator held_pair_accuracy_by_{by.replace('-', '_')}: before 0." in shown
    assert "{" not in shown
    calls = len(server.calls)
    assert main(command(tmp_path, server.url)) == 1
    assert "pass --overwrite" in capsys.readouterr().err
    assert main(command(tmp_path, server.url, "--overwrite")) == 0
    assert len(server.calls) == calls


def test_a_killed_run_resumes_and_pays_for_nothing_twice(
    serve: Serve, tmp_path: Path, scripted: tuple[TraitJudge, MetaJudge], capsys: Any
) -> None:
    write_dev(tmp_path / "dev.jsonl")
    write_rubric(tmp_path / "r.yaml", of_trait("half"), of_trait("rare"))
    dead = True

    def script(body: dict[str, Any], number: int) -> Answer:
        if dead and number == 5:
            return Answer(status=401, body=error("the key was withdrawn"))
        return items_reply(trait("odd"), trait("rare"))

    server = serve(script)
    assert main(command(tmp_path, server.url, "--rounds", "1")) == 1
    judged = sum(scripted[0].asked.values())
    assert judged > 0
    assert not (tmp_path / "out.yaml").exists()
    dead = False
    assert main(command(tmp_path, server.url, "--rounds", "1")) == 0
    assert len(server.calls) == 8 + 1
    assert scripted[0].asked[trait("half")["text"]] == 60
    assert "rewritten, refused" in capsys.readouterr().out


def test_a_dry_run(serve: Serve, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(rubric_models, "make_judge", lambda *args, **kwargs: None)
    write_dev(tmp_path / "dev.jsonl")
    write_rubric(tmp_path / "r.yaml", of_trait("half"), of_trait("rare"))
    server = serve()
    assert main(command(tmp_path, server.url, "--dry-run", "--rounds", "3", "--rewrites", "2")) == 0
    printed = capsys.readouterr().out
    assert "generator: 6 calls" in printed
    assert "judge: 240 responses" in printed
    assert "meta-judge: 6 responses" in printed
    assert not server.calls


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (4, ["--label-field", "x", "--by", "labels"], "there are no labels"),
        (0, [], "the labels do not differ"),
        (1, [], "the held split holds no responses"),
        (4, ["--out", "r.yaml"], "is the input itself"),
    ],
)
def test_bad_input(
    tmp_path: Path, monkeypatch: Any, capsys: Any, rows: int, more: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dev(tmp_path / "dev.jsonl", rows)
    if not rows:
        same = [{"id": n, "question": f"{n}?", "response": "a", "label": 1} for n in range(9)]
        write_rows(tmp_path / "dev.jsonl", same)
    write_rubric(tmp_path / "r.yaml", of_trait("half"))
    assert main(command(tmp_path, "http://127.0.0.1:1", *more)) == 1
    assert message in capsys.readouterr().err


def test_a_rubric_for_single_problems_cannot_be_refined(tmp_path: Path, capsys: Any) -> None:
    write_dev(tmp_path / "dev.jsonl")
    items = [each.to_json() for each in (of_trait("half"), of_trait("rare"))]
    instance = {"problem": labelled(1)[0].problem, "items": items}
    content = {"format_version": 1, "name": "n"}
    content["criteria"] = [{"key": "rubric", "instances": [instance]}]
    (tmp_path / "r.yaml").write_text(json.dumps(content))
    assert main(command(tmp_path, "http://127.0.0.1:1")) == 1
    assert "items for single problems only" in capsys.readouterr().err
    content["criteria"] = [{"key": "rubric", "items": [row | {"weight": 0} for row in items]}]
    (tmp_path / "r.yaml").write_text(json.dumps(content))
    assert main(command(tmp_path, "http://127.0.0.1:1")) == 1
    assert "the weights sum to zero" in capsys.readouterr().err

"""Score tables: files of all formats as columns, joined by response."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector_plugin.data.score_table import ScoreTable, Source, read_score_table
from inspector_plugin.data.stored_scores import read_stored_rows
from inspector_plugin.errors import DataError
from inspector_plugin.schema import BINARY, ROSCOE, CriterionScore, Judgement, Scale, unscored
from inspector_plugin.schema.criteria import Criterion

FLUENCY = next(criterion for criterion in ROSCOE if criterion.key == "fluency")


def score(value: float | None, label: int | None = None, **fields: Any) -> dict[str, Any]:
    row = {"score": value, "label": label, "scale": [1, 2, 3, 4, 5]}
    return row | {"fingerprint": FLUENCY.fingerprint} | fields


def judged(
    question: str, response: str | None, judges: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    judgements = {
        name: {"format_version": 2, "scores": {"fluency": value} if "score" in value else value}
        for name, value in judges.items()
    }
    return {"question": question, "response": response, "judgements": judgements} | fields


def short(question: str, response: str, value: Any, **fields: Any) -> dict[str, Any]:
    row = {"question": question, "response": response, "criterion": "fluency", "score": value}
    return row | fields


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def scores(table: ScoreTable, judge: str, key: str = "fluency") -> list[float | None]:
    return [None if np.isnan(each) else each for each in table.column(judge, key).scores]


def test_columns_of_a_judgement_file(tmp_path: Path) -> None:
    probabilities = {"1": 0.0, "2": 0.1, "3": 0.2, "4": 0.3, "5": 0.4}
    rows = [
        judged("q1", "abc", {"a": score(4.0, 5, probabilities=probabilities)}, id="1", model="m"),
        judged("q1", " abcd ", {"a": score(2.5, flags=["truncated"])}, id="1", dataset="gsm8k"),
        judged("q2", "", {"a": score(None, reason="the response is empty")}),
    ]
    table = read_score_table([write(tmp_path / "j.jsonl", rows)])
    column = table.column("a", "fluency")
    assert (table.rows, table.judges, table.keys) == (3, ["a"], ["fluency"])
    assert scores(table, "a") == [4.0, 2.5, None]
    assert column.labels[:2].tolist() == [5, 3]  # that of the file; else the nearest, halves up
    assert column.confidence[0] == 0.4
    assert np.isnan(column.confidence[1:]).all()
    assert (column.coverage, column.asked.all()) == (pytest.approx(2 / 3), True)
    assert column.reason_of(2) == "the response is empty"
    assert column.reason_of(0) is None
    assert column.flags_of(1) == ("truncated",)
    assert column.flagged("truncated").tolist() == column.flagged().tolist() == [False, True, False]
    assert column.fingerprint == FLUENCY.fingerprint
    assert table.models == ["m", None, None]
    assert table.datasets == [None, "gsm8k", None]
    assert table.lengths.tolist() == [3, 6, 0]
    assert table.problem_codes.tolist() == [0, 0, 1]
    assert table.problems[0] == table.problems[1] != table.problems[2]
    assert column.shares[:2].tolist() == [0.75, 0.375]
    assert column.as_binary().labels[:2].tolist() == [1, 0]
    assert column.as_binary().scale == BINARY


def test_reads_what_the_reader_of_stored_scores_reads(tmp_path: Path) -> None:
    judgement = Judgement(
        {
            "fluency": CriterionScore(3.5, 4, {4: 0.5, 3: 0.5}, scale=FLUENCY.scale),
            "logicality": unscored("no"),
        }
    )
    version1 = {"a": {key: each.to_json() for key, each in judgement.scores.items()}}
    path = write(
        tmp_path / "old.jsonl",
        [
            {"question": "q", "prediction": "r", "judgements": version1},
            judged("q", "s", {"a": judgement.to_json()["scores"]}),
            short("q", "t", 2),
        ],
    )
    stored = [each for _, found in read_stored_rows(path, "a") for each in found]
    table = read_score_table([path])
    names = {"fluency", "logicality"}
    assert {each.key for each in stored} == names
    for index, response in enumerate(("r", "s")):
        for each in (each for each in stored if each.response == response):
            value = table.column("a", each.key).scores[index]
            assert value == each.score or (np.isnan(value) and each.score is None)
    assert scores(table, "old") == [None, None, 2]


def test_files_are_joined_by_question_and_response(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [judged("q", f"r{n}", {"j": score(n)}) for n in (1, 2, 3)])
    other = write(tmp_path / "people.jsonl.gz", [short("q ", "r2\n", 5), short("q", "new", 1)])
    table = read_score_table([first, other])
    assert scores(table, "j") == [1, 2, 3, None]
    assert scores(table, "people") == [None, 5, None, 1]
    assert table.column("people", "fluency").asked.tolist() == [False, True, False, True]
    assert table.judge_sources == {"j": (0,), "people": (1,)}


def test_one_name_in_two_files(tmp_path: Path) -> None:
    rows = {
        "one": [judged("q", "r", {"j": score(1)})],
        "two": [judged("q", "r", {"j": score(2)})],
        "far": [judged("q", "s", {"j": score(3)})],
    }
    paths = {name: write(tmp_path / f"{name}.jsonl", each) for name, each in rows.items()}
    assert read_score_table([paths["one"], paths["far"]]).judges == ["j"]  # other responses
    both = read_score_table([paths["one"], paths["two"]])
    assert both.judges == ["j (one)", "j (two)"]
    named = read_score_table([Source.parse(f"old={paths['one']}"), paths["two"]])
    assert scores(named, "old") == [1]
    assert named.judges == ["old", "j"]


def test_a_response_that_occurs_twice_is_a_row_each_time(tmp_path: Path) -> None:
    models = write(
        tmp_path / "m.jsonl",
        [judged("q", "r", {"j": score(n)}, model=name) for n, name in ((1, "a"), (2, "b"))],
    )
    reference = write(tmp_path / "reference.jsonl", [short("q", "r", 5)])
    table = read_score_table([models, reference])
    assert (table.models, table.repeated) == (["a", "b"], 1)
    assert scores(table, "j") == [1, 2]
    assert scores(table, "reference") == [5, 5]  # of the text, whichever model wrote it
    swapped = read_score_table([reference, models])
    assert (swapped.models, scores(swapped, "j")) == (["a", "b"], [1, 2])
    assert scores(swapped, "reference") == [5, 5]
    of_a = write(tmp_path / "of_a.jsonl", [short("q", "r", 4, model="b")])
    assert scores(read_score_table([models, of_a]), "of_a") == [None, 4]
    repeats = write(tmp_path / "repeats.jsonl", [judged("q", "r", {"k": score(n)}) for n in (3, 4)])
    assert scores(read_score_table([models, repeats]), "k") == [3, 4]


def test_people_in_one_file(tmp_path: Path) -> None:
    rows = [short("q", "r", n, annotator=name) for n, name in ((1, "ann"), (4, "bob"))]
    table = read_score_table([write(tmp_path / "people.jsonl", rows)])
    assert (table.rows, table.judges) == (1, ["ann", "bob"])
    for name, value in (("ann", 1), ("bob", 4)):
        [(_, [stored])] = read_stored_rows(tmp_path / "people.jsonl", name)
        assert stored.score == value
    with pytest.raises(DataError, match="there are scores by ann, bob; say whose"):
        list(read_stored_rows(tmp_path / "people.jsonl"))
    with pytest.raises(DataError, match="choose from: ann, bob"):
        list(read_stored_rows(tmp_path / "people.jsonl", "eve"))
    again = write(tmp_path / "again.jsonl", [*rows, rows[0]])
    assert read_score_table([again]).dropped == 1
    rows.append(short("q", "r", 2, annotator="ann"))
    with pytest.raises(DataError, match=r"line 3: fluency .* scored 2, but 1 in an earlier line"):
        read_score_table([write(tmp_path / "two.jsonl", rows)])


def test_scales(tmp_path: Path) -> None:
    own = Criterion("grip", definition="How firm it is.", scale=Scale((0, 1, 2)))
    path = write(tmp_path / "s.jsonl", [{**short("q", "r", 0), "criterion": "grip"}])
    with pytest.raises(DataError, match="the score 0 is outside the scale 1-5"):
        read_score_table([path])
    assert read_score_table([path], criteria=[own]).column("s", "grip").scale == own.scale
    mixed = [
        judged("q", "r", {"j": score(1)}),
        judged("q", "s", {"j": score(1, scale=[0, 1])}),
    ]
    table = read_score_table([write(tmp_path / "mixed.jsonl", mixed)])
    with pytest.raises(DataError, match=r"different scales \(1-5 in .*line 1; 0-1 in .*line 2\)"):
        table.column("j", "fluency")
    # What could not be judged may stand on the criterion's scale, beside scores of low and high.
    unjudged = [
        judged("q", "r", {"j": score(None, reason="empty")}),
        judged("q", "s", {"j": score(1, scale=[0, 1])}),
    ]
    found = read_score_table([write(tmp_path / "u.jsonl", unjudged)]).column("j", "fluency")
    assert found.scale == BINARY


def log_line(doc: int, filter_: str, judged_by: list[Any], **metrics: Any) -> dict[str, Any]:
    line = {"doc_id": doc, "doc": {}, "resps": [["r"]], "filtered_resps": judged_by}
    return line | {"filter": filter_} | metrics


def entry(question: str, value: float, identifier: str = "0") -> str:
    judgement = {"format_version": 2, "scores": {"fluency": score(value)}}
    return json.dumps({**judgement, "id": identifier, "dataset": "gsm8k", "question": question})


def test_sample_logs_and_their_outcomes(tmp_path: Path) -> None:
    lines = [
        log_line(0, "strict", ["7"], exact_match=1.0),
        log_line(1, "strict", ["8"], exact_match=0.0),
        log_line(0, "j", [entry("q0", 4)]),
        log_line(1, "j", [entry("q1", 2, "1")]),
        log_line(0, "k", [entry("q0", 5)]),
    ]
    path = write(tmp_path / "samples_t_1.jsonl", lines)
    table = read_score_table([path], outcomes=["exact_match"])
    assert table.rows == 2
    assert (scores(table, "j"), scores(table, "k")) == ([4, 2], [5, None])
    assert table.outcome("exact_match").tolist() == [1, 0]
    lines.insert(2, log_line(0, "flexible", ["7"], exact_match=0.0))
    table = read_score_table([write(path, lines)], outcomes=["exact_match"])
    with pytest.raises(DataError, match="choose exact_match,flexible or exact_match,strict"):
        table.outcome("exact_match")
    named = read_score_table([path], outcomes=["exact_match,strict"])
    assert named.outcome("exact_match,strict").tolist() == [1, 0]
    # An outcome of a document with two responses is nobody's.
    two = log_line(2, "j", [entry("q2", 3)])
    two |= {"resps": [["r", "s"]], "filtered_resps": [[entry("q2", 3), entry("q2", 4)]]}
    more = [*lines[:2], two, log_line(2, "strict", ["9"], exact_match=1.0), *lines[3:]]
    table = read_score_table([write(path, more)], outcomes=["exact_match"])
    assert scores(table, "j") == [3, 4, 4, 2]
    assert np.isnan(table.outcome("exact_match")[:2]).all()
    write(path, lines)
    # A folder of results: the newest log of each task.
    write(tmp_path / "samples_t_2.jsonl", [log_line(0, "j", [entry("q9", 1)])])
    assert scores(read_score_table([tmp_path]), "j") == [1]


def test_problems_of_different_tasks_stay_apart(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"samples_{task}_1.jsonl", [log_line(0, "j", [entry(f"of {task}", 3)])])
        for task in ("gsm", "math")
    ]
    table = read_score_table(paths)
    assert table.ids == ["0", "0"]
    assert len(set(table.problems)) == len(set(table.problem_codes.tolist())) == 2


def test_outcomes(tmp_path: Path) -> None:
    rows = [
        judged("q", "r", {"j": score(1)}, is_correct=True, doc={"n": 2}),
        judged("q", "s", {"j": score(1)}, is_correct=None, doc={"n": 3}),
    ]
    other = [{"question": "q", "response": "s", "is_correct": False}]
    paths = [write(tmp_path / "a.jsonl", rows), write(tmp_path / "b.jsonl", other)]
    table = read_score_table(paths, outcomes=["is_correct", "doc.n", "nothing"])
    assert table.outcome("is_correct").tolist() == [1, 0]
    assert table.outcome("doc.n").tolist() == [2, 3]
    with pytest.raises(DataError, match="'nothing'"):
        table.outcome("nothing")
    rows[0]["is_correct"] = "yes"
    with pytest.raises(DataError, match="must be a number or true/false, not 'yes'"):
        read_score_table([write(paths[0], rows)], outcomes=["is_correct"]).outcome("is_correct")
    other[0]["is_correct"] = 1
    write(paths[0], [judged("q", "s", {"j": score(1)}, is_correct=False)])
    write(paths[1], other)
    with pytest.raises(DataError, match="different values of is_correct"):
        read_score_table(paths, outcomes=["is_correct"]).outcome("is_correct")


def test_outcomes_as_the_text_that_csv_makes_of_them(tmp_path: Path) -> None:
    given = ["True", "false", "", "0.5", "1"]
    rows = [
        judged("q", f"r{place}", {"j": score(1)}, right=text) for place, text in enumerate(given)
    ]
    outcome = read_score_table([write(tmp_path / "a.jsonl", rows)], outcomes=["right"])
    assert outcome.outcome("right").tolist() == pytest.approx([1, 0, np.nan, 0.5, 1], nan_ok=True)
    rows[0]["right"] = "nan"
    with pytest.raises(DataError, match="must be a number or true/false, not 'nan'"):
        read_score_table([write(tmp_path / "a.jsonl", rows)], outcomes=["right"]).outcome("right")


@pytest.mark.parametrize("name", ["j.jsonl", "j.jsonl.gz"])
def test_rows_are_read_again(tmp_path: Path, name: str) -> None:
    rows = [judged("q", f"ü{n}" * 50, {"j": score(n)}) for n in (1, 2, 3)]
    path = write(tmp_path / name, rows)
    log = write(tmp_path / "samples_t_1.jsonl", [log_line(0, "j", [entry("other", 4)])])
    table = read_score_table([path, log])
    found = table.read_rows([3, 0, 2])
    assert list(found) == [3, 0, 2]
    assert (found[0], found[2]) == (rows[0], rows[2])
    assert (found[3]["question"], found[3]["response"]) == ("other", "r")
    write(path, rows[:1])
    with pytest.raises(DataError, match="has changed"):
        table.read_rows([2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ('{"question": "q", "resp', "line 1: not a JSON object: the file ends in the middle of"),
        ('{"question": "q", "resp\n{}\n', "line 1: not a JSON object"),
        ("[1]\n", "line 1: not a JSON object"),
        ("[" * 100_000 + "\n", "line 1: not a JSON object"),
        ('{"question": "q", "response": "r"}\n', "neither judgements nor a criterion"),
        (json.dumps(short("q", "r", "4")) + "\n", "a score must be a number, not '4'"),
        (json.dumps(short("q", "r", True)) + "\n", "a score must be a number, not True"),
        (json.dumps(short("q", "r", 10**400)) + "\n", "line 1: fluency"),
        (json.dumps(short("q", "r", 6)) + "\n", "the score 6 is outside the scale 1-5"),
        (json.dumps(judged("q", "r", {"j": score(3, 9)})) + "\n", "the label 9"),
        (json.dumps(judged("q", None, {"j": score(3)})) + "\n", "there are scores, but"),
        (
            json.dumps(judged("q", "r", {"j": score(3, probabilities={"3": 0.5})})) + "\n",
            "probabilities must be 0 or more and sum to 1, not to 0.5000",
        ),
        (
            json.dumps(judged("q", "r", {"j": score(3, probabilities={"2": -0.5, "3": 1.5})}))
            + "\n",
            "probabilities must be 0 or more",
        ),
        (json.dumps(judged("q", "r", {"j": {"fluency": 3}})) + "\n", "must be an object, not 3"),
        (json.dumps(judged("q", "r", {"j": score(3, scale=[1, 3])})) + "\n", "the scale of"),
        (
            '{"question": "q", "response": "r", "judgements": 3}\n',
            "judgements must be an object, not 3",
        ),
        (json.dumps(judged("q", "r", {"j": {"fluency": None}})) + "\n", "object, not None"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_score_table([path])
    assert "\n" not in str(caught.value)


def test_a_long_response_costs_nothing_that_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "long.jsonl", [judged("q", "x" * 10_000_000, {"j": score(3)})])
    table = read_score_table([path])
    assert table.lengths.tolist() == [10_000_000]


def test_unknown_names_are_errors(tmp_path: Path) -> None:
    table = read_score_table([write(tmp_path / "j.jsonl", [judged("q", "r", {"j": score(1)})])])
    with pytest.raises(DataError, match="Unknown judge 'jj'; choose from: j"):
        table.column("jj", "fluency")
    with pytest.raises(DataError, match=r"Unknown criterion 'fluent'; .* Did you mean 'fluency'"):
        table.column("j", "fluent")
    with pytest.raises(DataError, match="Cannot read"):
        read_score_table([tmp_path / "none.jsonl"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no samples"):
        read_score_table([tmp_path / "empty"])


def test_a_file_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [judged("q1", "r", {"j": score(4.0)})])
    link = tmp_path / "link.jsonl"
    link.symlink_to(file)
    for again in (file, link):
        with pytest.raises(DataError, match=r"is given twice; give each file once\. If one of"):
            read_score_table([file, again])


def test_what_is_no_text_is_said(tmp_path: Path) -> None:
    row = judged("q1", "r", {"j": score(4.0)})
    packed = tmp_path / "packed.jsonl"
    packed.write_bytes(gzip.compress(json.dumps(row).encode()))
    with pytest.raises(DataError, match=r"compressed \(gzip\); unpack it first, or let its name"):
        read_score_table([packed])
    wide = tmp_path / "wide.jsonl"
    wide.write_text(json.dumps(row), encoding="utf-16")
    with pytest.raises(DataError, match="it is UTF-16; save it as UTF-8"):
        read_score_table([wide])
    marked = tmp_path / "marked.jsonl"
    marked.write_text(json.dumps(row), encoding="utf-8-sig")
    assert scores(read_score_table([marked]), "j") == [4.0]

"""Files of any form as rows to judge: read one by one, and what is wrong with them in one line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.requests import RequestForm, RowFields
from inspector_plugin.data.tables import InputFile
from inspector_plugin.errors import DataError
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.score_file import score_rows
from inspector_plugin.plugins.options import Backend, Option
from inspector_plugin.plugins.registry import JudgeRegistry
from inspector_plugin.schema import CriterionScore, Judgement, JudgeRequest
from inspector_plugin.testing import ScriptedJudge

ROWS = [
    {"question": "What is 2+2?", "response": 'It is 4,\n"four".', "n": 1},
    {"question": "Wie groß?", "response": "<script>alert(1)</script>", "n": 2},
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_length(request: JudgeRequest, key: str) -> CriterionScore:
    label = 1 + len(request.response) % 5
    flags = ("long",) if len(request.response) > 20 else ()
    return CriterionScore(float(label), label, flags=flags)


class Threes(Judge):
    """Scores everything 3, and remembers nothing."""

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        return [
            Judgement(dict.fromkeys(request.keys, CriterionScore(3.0, 3))) for request in requests
        ]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = JudgeRegistry()
    options = (Option("name", "", default=""),)
    backend = Backend("length", "", lambda name: ScriptedJudge(by_length), options)
    registry.add(backend, "test", "0")
    monkeypatch.setattr("inspector_plugin.cli.score.make_registry", lambda: registry)


def score(*arguments: str) -> int:
    more = ("--judge", "length", "--criteria", "fluency", "--no-cache")
    return main(["score", *arguments, *more])


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def write_form(name: str, rows: list[dict[str, Any]]) -> Path:
    path = Path(name)
    if ".parquet" in name:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif ".csv" in name or ".tsv" in name:
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], delimiter="\t" if "tsv" in name else ",")
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(text.getvalue().encode())
    elif ".jsonl" in name:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


FORMS = ["r.jsonl", "r.jsonl.gz", "r.json", "r.json.gz", "r.csv", "r.csv.gz", "r.tsv", "r.parquet"]


@pytest.mark.parametrize("name", [*FORMS, "json", "csv", "parquet", "jsonl"])
def test_every_form_gives_the_same_rows(name: str) -> None:
    kind = name if "." in name else f"x.{name}"
    path = write_form(kind, ROWS)
    if "." not in name:  # told by how it begins
        path = path.rename("noname")
    rows = list(InputRows([path]))
    assert [(r.request.question, r.request.response) for r in rows] == [
        (row["question"], row["response"]) for row in ROWS
    ]
    numbers = [row.row["n"] for row in rows]
    assert numbers == ([1, 2] if ".csv" not in kind and ".tsv" not in kind else ["1", "2"])


def test_columns_have_the_names_that_flags_give(judge: None) -> None:
    rows = [{"prompt": "q", "output": "answer", "key": 7, "who": "m", "response": "other"}]
    write_form("in.csv", rows)
    fields = ["--question-field", "prompt", "--response-field", "output"]
    fields += ["--id-field", "key", "--model-field", "who"]
    assert score("in.csv", "--out", "out.jsonl", *fields) == 0
    (written,) = read("out.jsonl")
    assert written.items() >= {
        "question": "q", "response": "answer", "id": "7", "model": "m", "prompt": "q"
    }.items()  # fmt: skip
    assert written["judgements"]["length"]["scores"]["fluency"]["score"] == 1 + 6 % 5


def test_a_missing_column_is_named_with_those_there_are(
    judge: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_form("in.parquet", [{"prompt": "q", "output": "r"}])
    assert score("in.parquet", "--question-field", "promt") == 1
    error = capsys.readouterr().err
    assert "in.parquet, row 1: field 'promt' is missing; it has ['output', 'prompt']" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [json.dumps(ROWS[0]) + "\n", json.dumps(ROWS)])
def test_standard_input(judge: None, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(content.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert score("-", "--out", "out.jsonl") == 0
    assert read("out.jsonl")[0]["response"] == ROWS[0]["response"]


def test_messages_call_standard_input_by_its_name(
    judge: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"question,answer\n1,2\n")))
    assert score("-") == 1
    assert "standard input, row 1: field 'response' or 'prediction'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("response", "read_as"),
    [
        (None, "the response is missing (null)"),
        (5, "the response is not text but of type int"),
        (["one"], None),
        ([["one"]], "the response is not text but of type list"),
        ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "one"}], None),
        ([{"from": "human", "value": "q"}, {"from": "gpt", "value": "one"}], None),
        ([{"role": "assistant", "content": [{"type": "text", "text": "one"}]}], None),
        (
            [{"role": "assistant", "content": "early"}, {"role": "user", "content": "q"}],
            "the conversation holds no reply of the assistant",
        ),
    ],
)
def test_a_response_is_read_in_the_forms_that_tools_write(response: Any, read_as: str) -> None:
    write_form("in.jsonl", [{"question": "q", "response": response}])
    (row,) = InputRows([Path("in.jsonl")])
    assert row.without_response == read_as
    assert row.request.response == ("one" if read_as is None else "")


def test_a_conversation_holds_question_and_response() -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "two"},
    ]
    write_form("in.jsonl", [{"messages": turns}, {"messages": turns[:3]}])
    form = RequestForm(fields=RowFields(question="messages", response="messages"))
    rows = [row.request for row in InputRows([Path("in.jsonl")], form)]
    assert [(row.question, row.response) for row in rows] == [
        ("User: first\n\nAssistant: one\n\nUser: second", "two"),
        ("first", "one"),
    ]


GOOD = '{"question": "q", "response": "r"}'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.jsonl", f'{GOOD}\n{{"question": "q", "resp', "line 2: .* ends in the middle of this"),
        ("in.jsonl", f"{GOOD}\n[1]\n", "line 2: not a JSON object"),
        ("in.jsonl", "", "holds no rows to judge"),
        ("in.json", "", "holds no rows to judge"),
        ("in.csv", "", "holds no rows to judge"),
        ("in.json", f"[{GOOD}, {GOOD}", "ends in the middle of its list, after row 2"),
        ("in.json", f'[{GOOD}, {{"question": "q", "resp', "row 2: not JSON"),
        ("in.json", f"[{GOOD} {GOOD}]", "row 2: not JSON"),
        ("in.json", f"[{GOOD}] {GOOD}", "more after the end of its list"),
        ("in.json", "[1, 2]", "row 1: not a JSON object"),
        ("in.json", f"[{'[' * 99_999}", "row 1: not JSON"),
        ("in.csv", "question,response\nq,r,s\n", "row 1: it has 3 columns, the first line 2"),
        ("in.csv", "question,response\nq\n", "row 1: it has 1 columns, the first line 2"),
        ("in.csv", "question,question\nq,r\n", "two columns are called 'question'"),
        ("in.csv", 'question,response\nq,"never closed\n', "row 1: not CSV"),
        ("in.parquet", "PAR1 no parquet", "it is not Parquet"),
        ("in.jsonl.gz", "no gzip", "Cannot read"),
    ],
)
def test_damaged_files(name: str, content: str, message: str) -> None:
    Path(name).write_text(content)
    with pytest.raises(DataError, match=message):
        InputRows([Path(name)])


def test_encodings_of_csv() -> None:
    text = "question;response\nWie groß?;Größer, höher\n"
    for encoding, given in (("utf-8-sig", None), ("utf-16", None), ("latin-1", "latin-1")):
        Path("in.csv").write_bytes(text.encode(encoding))
        (row,) = InputRows([InputFile(Path("in.csv"), encoding=given)])
        assert (row.request.question, row.request.response) == ("Wie groß?", "Größer, höher")
    with pytest.raises(DataError, match=r"that is not utf-8 .*--encoding latin-1"):
        InputRows([Path("in.csv")])
    with pytest.raises(DataError, match="'klingon' is not an encoding"):
        InputRows([InputFile(Path("in.csv"), encoding="klingon")])


def test_values_of_parquet_that_json_lacks(judge: None) -> None:
    import datetime
    import decimal

    row = {
        "question": "q",
        "response": None,
        "day": datetime.date(2026, 1, 2),
        "price": decimal.Decimal("1.50"),
        "raw": b"\xff\x00",
        "nan": float("nan"),
        "deep": {"a": [float("inf"), None]},
    }
    write_form("in.parquet", [row, row | {"response": "an answer"}])
    assert score("in.parquet", "--out", "out.jsonl") == 0
    first, second = read("out.jsonl")
    assert [first[name] for name in ("day", "price", "raw", "nan", "deep")] == [
        "2026-01-02", "1.50", {"bytes": "ff00"}, None, {"a": [None, None]}
    ]  # fmt: skip
    scores = [each["judgements"]["length"]["scores"]["fluency"] for each in (first, second)]
    assert scores[0]["reason"] == "the response is missing (null)"
    assert scores[1]["score"] == 5.0


def test_several_files_make_one_output_that_resumes(judge: None) -> None:
    write_form("a.jsonl", ROWS)
    write_form("b.csv", ROWS[:1])
    assert score("a.jsonl", "b.csv", "--out", "out.jsonl") == 0
    whole = Path("out.jsonl").read_bytes()
    assert [row["n"] for row in read("out.jsonl")] == [1, 2, "1"]
    Path("out.jsonl").write_bytes(whole[: len(whole) // 2])
    assert score("a.jsonl", "b.csv", "--out", "out.jsonl") == 0
    assert Path("out.jsonl").read_bytes() == whole
    assert score("b.csv", "a.jsonl", "--out", "out.jsonl") == 1  # another order is another run
    assert [row.row["n"] for row in InputRows([Path("a.jsonl"), Path("b.csv")], None, 2)] == [1, 2]


def test_a_file_given_twice_is_refused() -> None:
    path = write_form("a.jsonl", ROWS)
    Path("link.jsonl").symlink_to(path)
    with pytest.raises(DataError, match="is given twice"):
        InputRows([path, Path("link.jsonl")])


@pytest.mark.parametrize("name", ["in.jsonl", "in.json", "in.csv", "in.parquet"])
def test_rows_are_not_held(name: str) -> None:
    long = "x" * 50_000
    rows = [{"question": "q", "response": f"{long}{n}"} for n in range(400)]  # 20 MB
    path = write_form(name, rows)
    del rows
    counts: list[int] = []
    tracemalloc.start()
    score_rows(InputRows([path]), {"j": Threes()}, lambda lines: counts.append(len(lines)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(counts) == 400
    # A chunk of 64 rows and what is written of it; of Parquet also a batch of 64 rows.
    assert peak < 14e6


def test_a_response_of_10_mb_is_judged_by_itself() -> None:
    long = "step " * 2_000_000  # more than half of what a chunk may hold
    path = write_form("in.jsonl", [{"question": "q", "response": long} for _ in range(3)])
    judge = ScriptedJudge(lambda request, key: 3.0)
    score_rows(InputRows([path]), {"j": judge}, lambda lines: None)
    assert [len(call) for call in judge.calls] == [1] * 3


def test_flagged_scores_are_counted_and_left_out_where_asked(
    judge: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_form("in.jsonl", [{"question": "q", "response": "x" * n} for n in (1, 2, 26)])
    assert score("in.jsonl", "--out", "a.jsonl", "--summary", "a.json") == 0
    shown = capsys.readouterr().out
    assert next(line for line in shown.splitlines() if "fluency" in line).split() == [
        "fluency", "1-5", "2.33", "0.33", "3/3", "1"
    ]  # fmt: skip
    assert score("in.jsonl", "--drop-flagged", "--out", "b.jsonl", "--summary", "b.json") == 0
    assert "left out because of the flag long" in capsys.readouterr().out
    assert read("b.jsonl") == read("a.jsonl")
    figures = json.loads(Path("b.json").read_text())["judges"]["length"]["criteria"]["fluency"]
    assert (figures["mean"], figures["scored"], figures["asked"]) == (2.5, 2, 3)
    assert score("in.jsonl", "--drop-flagged=other", "--out", "b.jsonl") == 0
    printed = capsys.readouterr()
    assert "no score has the flag other" in printed.err
    assert "3/3" in printed.out
    assert main(["show", "a.jsonl", "--row", "3", "--drop-flagged"]) == 0
    assert "fluency: left out because of the flag long" in capsys.readouterr().out


def test_a_reference_is_compared_without_holding_judgements(judge: None) -> None:
    write_form("in.jsonl", [{"question": f"q{n}", "response": "x" * n} for n in range(1, 30)])
    more = ("--reference", "length:name=again", "--out", "o.jsonl", "--summary", "s.json")
    assert score("in.jsonl", *more) == 0
    agreement = json.loads(Path("s.json").read_text())["judges"]["length"]["agreement"]
    assert agreement["overall"]["n"] == 29
    assert agreement["fluency"]["spearman"]["value"] == pytest.approx(1)

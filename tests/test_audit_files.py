"""The rows of a file that `inspector audit FILE` takes: read, drawn, counted and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audited_problems import ROWS, written

from inspector_plugin.audits.edited import all_edits, judge_edits
from inspector_plugin.audits.rows import MOST_NAMED, survey
from inspector_plugin.errors import DataError
from inspector_plugin.schema import ROSCOE
from inspector_plugin.testing import ScriptedJudge


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return written(tmp_path / "pairs.jsonl", ROWS)


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    bad: list[Any] = [
        "not json",
        {"question": "q"},
        {"question": "q", "response": " "},
        {"question": "q", "response": 5},
        {"question": 7, "response": "r"},
        {"question": "q", "response": "\ud800"},
        {"question": "q", "response": "r", "planted": 3},
        {"question": "q", "response": "r", "planted": ""},
        {"question": "q", "response": "r", "error": 5},
        "[1, 2]",
        *[{"question": "q", "response": None}] * 5,
    ]
    path = written(tmp_path / "bad.jsonl", [ROWS[0], *bad, ROWS[0], ROWS[1], ""])
    found = survey(path)
    assert (found.bad, found.repeated, len(found.named)) == (len(bad), 1, MOST_NAMED)
    assert found.numbers == [1, len(bad) + 3]
    for line, words in ((2, "not a JSON object"), (3, "'response' or 'prediction' is missing"),
                        (4, "'response' is empty"), (6, "'question' must be text"),
                        (7, "not valid Unicode"), (9, "'planted' is empty")):  # fmt: skip
        [message] = [each for each in found.named if f"line {line}:" in each]
        assert words in message
    assert [row.number for row in found.rows()] == found.numbers
    with pytest.raises(DataError, match=r"holds no rows to audit \(15 cannot be used\)"):
        survey(written(tmp_path / "all.jsonl", bad))


def test_rows_are_drawn_by_seed_and_a_larger_draw_holds_the_smaller(pairs: Path) -> None:
    drawn = {limit: survey(pairs, limit=limit, seed=5).numbers for limit in (5, 12, 40, 99)}
    assert set(drawn[5]) < set(drawn[12]) < set(drawn[40])
    assert drawn[40] == drawn[99] == list(range(1, 41))
    assert drawn[5] == sorted(drawn[5]) == survey(pairs, limit=5, seed=5).numbers
    assert drawn[5] != survey(pairs, limit=5, seed=6).numbers
    assert survey(pairs, limit=5).not_drawn == 35


def test_types_of_errors_are_chosen_and_counted(tmp_path: Path) -> None:
    kinds = ("random number", "swap steps", "random operation", "of their own")
    rows = [{**row, "error": kinds[n % 4]} for n, row in enumerate(ROWS)]
    rows += [{"question": "q", "response": "not planted in"}]
    path = written(tmp_path / "kinds.jsonl", rows)
    assert survey(path).errors == dict.fromkeys(kinds, 10)
    found = survey(path, errors=["random number", "random operation"])
    assert (len(found.numbers), found.other_errors) == (20, 21)
    edits = all_edits((), survey(path), planted=True)
    assert list(edits) == [
        "planted of their own",
        "planted wrong calculation",
        "planted swap steps",
    ]
    scores = judge_edits(
        ScriptedJudge(lambda request, key: 3), survey(path), ROSCOE, edits, progress=False
    )
    assert [sum(scored.made) for scored in scores.edited.values()] == [10, 20, 10]
    with pytest.raises(DataError, match="None of its 41 rows has such an error planted"):
        survey(path, errors=["random"])
    many = [{**row, "error": f"kind {n}"} for n, row in enumerate(ROWS)]
    with pytest.raises(DataError, match="40 types of errors; an audit takes 20 at most"):
        survey(written(tmp_path / "many.jsonl", many))


def test_other_forms_of_files(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text('question,response\nq1,"r, 1"\nq2,\nq3,r3\n', encoding="utf-8")
    found = survey(rows, dataset="gsm8k")
    assert [(row.number, row.response, row.dataset) for row in found.rows()] == [
        (1, "r, 1", "gsm8k"),
        (3, "r3", "gsm8k"),
    ]
    assert "row 2: field 'response' is empty" in found.named[0]
    listed = tmp_path / "rows.json"
    listed.write_text(json.dumps(ROWS[:3]), encoding="utf-8")
    assert survey(listed).errors == {"random operation": 2, "random number": 1}


def test_a_file_that_changes_meanwhile_is_noticed(pairs: Path) -> None:
    found = survey(pairs)
    written(pairs, ROWS[:3])
    with pytest.raises(DataError, match="was changed while it was audited"):
        list(found.rows())

"""Labelled rows that rubrics are evaluated on: read, refused, and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rubric_pairs import pair_rows, write

from inspector_plugin.data.labelled import PREFERENCES, LabelledForm, read_labelled, sample
from inspector_plugin.errors import DataError


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write(tmp_path / "pairs.jsonl", pair_rows())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"question": "q", "responses": ["a"]}], "two texts or more"),
        ([{"question": "q", "responses": ["a", 1], "preferred": 0}], "texts only"),
        ([{"question": "q", "responses": ["a", "b"], "preferred": 2}], "from 0 to 1, not 2"),
        ([{"question": "q", "responses": ["a", "b"], "preferred": True}], "not True"),
        ([{"question": "q", "response": "a", "label": "good"}], "'good' is not a number"),
        ([{"response": "a", "label": 1}], "'question' is missing"),
        (
            [
                {"question": "q", "responses": ["a", "b"], "preferred": 0},
                {"question": "q", "response": "a"},
            ],
            "use two files",
        ),
    ],
)
def test_malformed_data_is_refused(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_labelled(write(tmp_path / "bad.jsonl", rows))


def test_labels_are_found_in_the_first_field_that_a_row_has(tmp_path: Path) -> None:
    rows = [
        {"question": "q", "response": "a", "scores": [5, 4, 3]},
        {"question": "q", "response": "b", "mine": {"x": 2}, "scores": [1]},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    [problem] = read_labelled(path).problems
    assert (problem.labels, problem.contrast) == ((4.0, 1.0), (0, 1))
    [problem] = read_labelled(path, LabelledForm(("mine.x", "scores"))).problems
    assert problem.labels == (4.0, 2.0)


def test_a_sample_has_so_many_of_each_part(pairs: Path) -> None:
    drawn = sample(read_labelled(pairs), 1, seed=3)
    assert sorted(each.group or "" for each in drawn.problems) == ["manual", "natural", "neighbor"]
    assert drawn == sample(read_labelled(pairs), 1, seed=3)
    assert read_labelled(pairs).kind == PREFERENCES

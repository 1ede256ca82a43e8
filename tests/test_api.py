"""The Python API, and docs/python.md as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

import inspector_plugin
from inspector_plugin import Criterion, DataError, Scale, compare, score
from inspector_plugin.testing import ScriptedJudge

DOCUMENT = Path(__file__).parents[1] / "docs" / "python.md"
ROWS = [
    {"id": "a", "question": "q", "response": "one", "mine": 7},
    {"id": "b", "question": "p", "response": "two words"},
    {"id": "c", "question": "o", "response": ""},
]


def by_words(request, key):
    return len(request.response.split())


def test_scores_of_a_list_and_of_a_data_frame_are_the_same() -> None:
    judge = ScriptedJudge(by_words)
    listed = score(judge, ROWS, criteria="fluency,logicality", progress=False)
    framed = score(judge, pandas.DataFrame(ROWS), criteria=["fluency", "logicality"])
    assert listed.judgements == framed.judgements
    assert [each.request.id for each in framed.rows] == ["a", "b", "c"]
    frame = listed.to_frame()
    assert list(frame["fluency"][:2]) == [1, 2]
    assert list(frame["total"][:2]) == [2, 4]
    assert frame["fluency"].isna().tolist() == [False, False, True]
    assert frame["mine"][0] == 7
    assert listed.reasons == {"the response is empty": 2}
    long = listed.to_long_frame()
    assert list(long["criterion"]) == ["logicality", "fluency"] * 3
    assert (long["minimum"][0], long["maximum"][0]) == (1, 5)


def test_criteria_of_ones_own_beside_built_in_ones() -> None:
    care = Criterion("care", definition="Steps are checked.", scale=Scale(tuple(range(1, 8))))
    judge = ScriptedJudge(lambda request, key: 7 if key == "care" else 2, scale=None)
    judgement = score(judge, ROWS[:1], criteria=[care, "fluency"]).judgements[0]
    assert [s.score for s in judgement.scores.values()] == [7, 2]
    assert judgement.scores["care"].scale == care.scale


def test_comparison_by_hand() -> None:
    # Labels 1, 2 against 1, 4: half of them equal; ranks in the same order.
    ours = score(ScriptedJudge(by_words), ROWS, criteria="fluency")
    theirs = score(ScriptedJudge([1, 4]), ROWS, criteria="fluency", name="people")
    comparison = compare(ours, theirs, resamples=0)
    overall = comparison.criteria["overall"]
    assert overall.n == 2
    assert overall.statistics["accuracy"].value == 0.5
    assert overall.statistics["spearman"].value == pytest.approx(1)
    frame = comparison.to_frame()
    assert set(frame["criterion"]) == {"fluency", "overall"}
    assert (comparison.judge, comparison.reference) == ("ScriptedJudge", "people")
    with pytest.raises(DataError, match="same responses in the same order"):
        compare(ours, score(ScriptedJudge([1]), ROWS[:1], criteria="fluency"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "q"}], r"rows\[0\].*'response' or 'prediction' is missing"),
        (["text"], r"rows\[0\]: must be a dictionary, not str"),
        ({"question": "q", "response": "r"}, "a list of rows or a DataFrame"),
    ],
)
def test_rows_that_cannot_be_used(rows, message) -> None:
    with pytest.raises(DataError, match=message):
        score(ScriptedJudge(by_words), rows)


def test_public_names_are_listed_and_there() -> None:
    names = dir(inspector_plugin)
    assert {"load_judge", "score", "compare", "Judge", "Criterion", "hookimpl"} <= set(names)
    for name in names:
        assert getattr(inspector_plugin, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        inspector_plugin.nothing  # noqa: B018


def test_the_document_runs_as_it_stands(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    checks = (
        "assert frame['fluency'].between(1, 5).all() and len(frame) == 2\n"
        "assert careful.judgements[0].scores['care'].scale.name == '1-7'\n"
        "assert agreement.n == 10 and len(table) == 30\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*blocks, checks])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Scores by inspector\n" in done.stdout


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "inspector_plugin", "criteria", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("roscoe: semantic_consistency, logicality")

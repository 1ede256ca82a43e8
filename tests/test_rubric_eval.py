"""`inspector rubric eval`: figures of judges that follow a rule, by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, judgement, response_of
from conftest import UseJudges
from endpoint_judges import Serve
from scipy.stats import spearmanr

from inspector_plugin.cli.main import main
from inspector_plugin.data.labelled import (
    PREFERENCES,
    SCORES,
    LabelledForm,
    read_labelled,
    sample,
)
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.errors import DataError
from inspector_plugin.rubrics.conditions import (
    HUMAN_NAME,
    NO_RUBRIC_NAME,
    by_another_problem,
    by_human_rubric,
    by_rubric,
    rubric_in_prose,
    stuffed,
    without_rubric,
)
from inspector_plugin.rubrics.evaluate import (
    ALL,
    PAIRWISE_NAME,
    FileResult,
    GroupResult,
    evaluate_file,
)
from inspector_plugin.schema import Criterion, JudgeRequest
from inspector_plugin.schema.rubric_files import RubricFile
from inspector_plugin.schema.rubrics import RubricInstance, RubricItem
from inspector_plugin.testing import ScriptedJudge

GOOD, BAD = "It names a source.", "It names nothing."
SOURCE = Criterion("rubric", items=(RubricItem("source", "The response names a source."),))
# Better response, worse response, part.
PAIRS = (
    (GOOD + " A", BAD + " A", "natural"),
    (GOOD + " B", GOOD + " B and more", "natural"),
    (BAD + " C", GOOD + " C", "neighbor"),
    (GOOD + " D", BAD + " D", "manual"),
)


class RubricJudge(ScriptedJudge):
    """Scores responses by a rubric as it is told, whatever the items."""

    rubric_form = "scripted"


def pair_rows() -> list[dict[str, Any]]:
    rows = []
    for number, (better, worse, part) in enumerate(PAIRS):
        preferred = number % 2
        responses = [worse, better] if preferred else [better, worse]
        rows.append(
            {
                "id": f"p{number}",
                "subset": part,
                "question": f"Question number {number}?",
                "responses": responses,
                "preferred": preferred,
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write(tmp_path / "pairs.jsonl", pair_rows())


def rule(request: JudgeRequest, key: str) -> float:
    """No rubric: all alike. A preference: for the first where it names a source. Else: 5 or 1."""
    if key == "overall_quality":
        return 3
    if key == "preference":
        first = request.response.partition("[end of response 1")[0]
        return 1 if "a source" in first else 2
    return 5 if "a source" in request.response else 1


def result_of(result: FileResult, condition: str, group: str = ALL) -> GroupResult:
    [found] = [r for r in result.results if (r.condition, r.group) == (condition, group)]
    return found


def value(statistic: Any) -> float:
    assert statistic is not None
    assert statistic.value is not None
    return float(statistic.value.value)


def test_pair_accuracy_ties_and_stuffed_responses_are_those_counted_by_hand(pairs: Path) -> None:
    judge = RubricJudge(rule, scale=None)
    conditions = [without_rubric(), by_rubric("sources", SOURCE)]
    result = evaluate_file(read_labelled(pairs), conditions, judge)
    plain = result_of(result, NO_RUBRIC_NAME)
    assert (value(plain.accuracy), plain.ties) == (0.5, 1.0)
    ruled = result_of(result, "sources")
    # Right, a tie, wrong, right.
    assert value(ruled.accuracy) == pytest.approx(2.5 / 4)
    assert ruled.ties == 0.25
    assert (ruled.accuracy.count, ruled.accuracy.asked) == (4, 4)
    # Only where the better response names no source do the rubric's words win.
    assert value(ruled.exploit) == 0.25
    # Neighbor and manual are pooled: one wrong, one right.
    assert value(result_of(result, "sources", "adversarial").accuracy) == 0.5
    assert value(result_of(result, "sources", "natural").accuracy) == 0.75


def test_pairwise_prompting_swaps_the_order_and_averages(pairs: Path) -> None:
    judge = RubricJudge(rule, scale=None)
    result = evaluate_file(read_labelled(pairs), [], judge, exploit=False)
    # Where both name a source the rule is for whatever stands first: a tie, once averaged.
    assert value(result_of(result, PAIRWISE_NAME).accuracy) == pytest.approx(2.5 / 4)
    assert result_of(result, PAIRWISE_NAME).ties == 0.25
    asked = [request.response for call in judge.calls for request in call]
    assert len(asked) == 8
    assert all(GOOD in text or BAD in text for text in asked)


def test_a_judge_for_whatever_stands_first_reaches_one_half(pairs: Path) -> None:
    judge = RubricJudge(lambda request, key: 1, scale=None)
    result = evaluate_file(read_labelled(pairs), [], judge, exploit=False)
    assert value(result_of(result, PAIRWISE_NAME).accuracy) == 0.5
    assert result_of(result, PAIRWISE_NAME).ties == 1.0
    estimate = result_of(result, PAIRWISE_NAME).accuracy.value
    assert estimate is not None
    assert estimate.low is None  # all alike: resamples would say nothing


def test_what_is_unscored_counts_in_the_coverage_and_not_in_the_figure(pairs: Path) -> None:
    def silent_on_c(request: JudgeRequest, key: str) -> float | str:
        return "too hard" if " C" in request.response else rule(request, key)

    judge = RubricJudge(silent_on_c, scale=None)
    conditions = [by_rubric("sources", SOURCE)]
    result = evaluate_file(read_labelled(pairs), conditions, judge, pairwise=False)
    ruled = result_of(result, "sources")
    assert (ruled.accuracy.count, ruled.accuracy.asked) == (3, 4)
    assert value(ruled.accuracy) == pytest.approx(2.5 / 3)
    assert result.reasons["sources"] == {"too hard": 2}


def test_correlation_is_scipys_and_intervals_draw_problems(tmp_path: Path) -> None:
    scores = [5, 2, 4, 4, 1, 3, 2, 5]
    labels = [4, 1, 3, 4, 2, 0, 1, 3]
    rows = [
        {
            "id": place // 2,
            "question": f"Question {place // 2}?",
            "response": f"{'x' * place}={score}",
            "scores": {"helpfulness": label, "verbosity": 9 - label},
        }
        for place, (score, label) in enumerate(zip(scores, labels, strict=True))
    ]
    file = read_labelled(write(tmp_path / "scored.jsonl", rows))
    assert (file.kind, len(file.problems)) == (SCORES, 4)
    judge = RubricJudge(lambda request, key: int(request.response[-1]), scale=None)
    result = evaluate_file(file, [without_rubric()], judge, pairwise=False, exploit=False)
    found = result_of(result, NO_RUBRIC_NAME).correlation
    assert found is not None
    assert value(found) == pytest.approx(spearmanr(scores, labels).statistic)
    assert (found.count, found.asked) == (8, 8)
    assert found.value is not None
    assert found.value.low is not None
    # The pairs are those of the problems whose labels differ: 4 > 1, 4 > 3, 2 > 0 and 3 > 1.
    pairs = result_of(result, NO_RUBRIC_NAME).accuracy
    assert (value(pairs), pairs.count, pairs.asked) == ((1 + 0.5 + 0 + 1) / 4, 4, 4)
    one = read_labelled(
        write(tmp_path / "one.jsonl", [row | {"id": 0, "question": "Q?"} for row in rows])
    )
    alone = evaluate_file(one, [without_rubric()], judge, pairwise=False, exploit=False)
    estimate = result_of(alone, NO_RUBRIC_NAME).correlation
    assert estimate is not None
    assert estimate.value is not None
    assert estimate.value.low is None  # one problem: nothing to draw


def test_a_constant_judge_has_no_correlation_and_says_why(tmp_path: Path) -> None:
    rows = [
        {"id": n, "question": f"Q {n}", "response": "r" * (n + 1), "label": n} for n in range(4)
    ]
    file = read_labelled(write(tmp_path / "scored.jsonl", rows))
    judge = RubricJudge(lambda request, key: 3, scale=None)
    found = result_of(
        evaluate_file(file, [without_rubric()], judge, pairwise=False, exploit=False),
        NO_RUBRIC_NAME,
    ).correlation
    assert found is not None
    assert (found.value, found.reason) == (None, "all scores, or all labels, are equal")


def test_rows_that_share_a_problem_are_drawn_together(tmp_path: Path) -> None:
    rows = [row | {"question": "One and the same?"} for row in pair_rows()]
    result = evaluate_file(
        read_labelled(write(tmp_path / "same.jsonl", rows)),
        [by_rubric("sources", SOURCE)],
        RubricJudge(rule, scale=None),
        pairwise=False,
    )
    estimate = result_of(result, "sources").accuracy.value
    assert estimate is not None
    assert (estimate.value, estimate.low) == (2.5 / 4, None)


def test_another_problems_rubric_is_never_the_problems_own(tmp_path: Path) -> None:
    rows = [row | {"rubric": f"[Is it about {n % 3}?]"} for n, row in enumerate(pair_rows() * 3)]
    for n, row in enumerate(rows):
        row["question"] = f"Question {n}?"
    file = read_labelled(write(tmp_path / "own.jsonl", rows))
    human = by_human_rubric()
    other = by_another_problem(human, file.problems, seed=1)
    assert other is not None
    for problem in file.problems:
        own, another = human.criterion_for(problem), other.criterion_for(problem)
        assert own is not None
        assert another is not None
        assert own.definition != another.definition
    assert by_another_problem(by_rubric("one", SOURCE), file.problems, seed=1) is None


def test_a_rubric_in_prose_with_five_scores_becomes_anchors() -> None:
    text = "[Is it exact?]\n" + "\n".join(f"Score {n}: level {n}." for n in range(1, 6))
    rubric = rubric_in_prose(text)
    assert rubric.definition == "Is it exact?"
    assert rubric.anchors == {n: f"level {n}." for n in range(1, 6)}
    assert rubric_in_prose("Score 1: bad.\nScore 5: good.").anchors == {}


def test_a_stuffed_response_holds_the_words_of_items_but_not_of_faults() -> None:
    items = (
        RubricItem("a", "The response is short."),
        RubricItem("b", "The response rambles.", kind="pitfall"),
    )
    text = stuffed("No.", Criterion("rubric", items=items))
    assert text.startswith("No.\n\n")
    assert "The response is short." in text
    assert "rambles" not in text


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


@pytest.fixture
def use_here(monkeypatch: pytest.MonkeyPatch, use_judges: UseJudges) -> UseJudges:
    """Make judges known by name to the command."""

    def use(**factories: Any) -> Any:
        registry = use_judges(**factories)
        monkeypatch.setattr("inspector_plugin.cli.rubric_eval.make_registry", lambda: registry)
        return registry

    return use


def rubric_file(path: Path, criterion: Criterion, **generator: Any) -> Path:
    path.write_text(RubricFile("mine", criterion, generator=generator).text(".json"))
    return path


def test_the_command_prints_its_table_within_80_columns(
    pairs: Path, tmp_path: Path, use_here: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    rubric = rubric_file(tmp_path / "R.json", SOURCE)
    status = main(
        ["rubric", "eval", str(pairs), "--judge", "ruled", "--rubrics", f"sources={rubric}"]
    )
    out = capsys.readouterr().out
    assert status == 0, out
    assert max(map(len, out.splitlines())) <= 80
    [row] = [
        line
        for line in out.split("pairs: adversarial")[1].split("\n\n")[0].splitlines()
        if line.startswith("sources")
    ]
    assert row.split()[1:3] == ["2", ".50"]
    assert "pairs: manual" not in out  # pooled


@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_the_other_formats_hold_the_same_figures(
    pairs: Path, tmp_path: Path, use_here: UseJudges, form: str
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    rubric, out = rubric_file(tmp_path / "R.json", SOURCE), tmp_path / f"figures.{form}"
    command = ["rubric", "eval", str(pairs), "--judge", "ruled", "--format", form]
    assert main([*command, "--rubrics", f"sources={rubric}", "--out", str(out)]) == 0
    text = out.read_text()
    if form == "json":
        tables = {t["title"]: t for s in json.loads(text)["sections"] for t in s["tables"]}
        [row] = [r for r in tables["pairs"]["rows"] if r[0] == "sources"]
        accuracy = row[tables["pairs"]["columns"].index("accuracy")]
        assert accuracy["value"] == 0.625
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        [number] = [r["row"] for r in rows if r["table"] == "pairs" and r["value"] == "sources"]
        [figure] = [
            r for r in rows if (r["table"], r["row"], r["column"]) == ("pairs", number, "accuracy")
        ]
        assert float(figure["value"]) == 0.625
    else:
        assert "### pairs: manual" in text
        assert "| sources | 4 | .62" in text


def test_problems_that_a_rubric_was_made_from_are_left_out(
    pairs: Path, tmp_path: Path, use_here: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = RubricJudge(rule, scale=None)
    use_here(ruled=lambda labels: judge)
    made_of = [problem_identity(row["question"]) for row in pair_rows()[:2]]
    rubric = rubric_file(tmp_path / "R.json", SOURCE, problems=made_of)
    more = write(tmp_path / "dev.jsonl", pair_rows()[2:3])
    command = ["rubric", "eval", str(pairs), "--judge", "ruled", "--rubrics", f"sources={rubric}"]
    assert main([*command, "--leave-out", str(more), "--no-pairwise"]) == 0
    asked = {request.question for call in judge.calls for request in call}
    assert asked == {"Question number 3?"}
    assert "3 of 4 rows of problems left out" in capsys.readouterr().err


def test_problems_that_the_generator_was_tuned_on_are_left_out(
    pairs: Path, tmp_path: Path, use_here: UseJudges
) -> None:
    judge = RubricJudge(rule, scale=None)
    use_here(ruled=lambda labels: judge)
    adapter = tmp_path / "generator"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    tuned_on = [problem_identity(row["question"]) for row in pair_rows()[1:]]
    (adapter / "card.json").write_text(json.dumps({"problems": tuned_on}))
    instances = tuple(
        RubricInstance(problem_identity(row["question"]), SOURCE.items) for row in pair_rows()
    )
    rubric = rubric_file(
        tmp_path / "R.json", Criterion("rubric", instances=instances), model=str(adapter)
    )
    command = ["rubric", "eval", str(pairs), "--judge", "ruled", "--rubrics", f"tuned={rubric}"]
    assert main(command) == 0
    assert {each.question for call in judge.calls for each in call} == {"Question number 0?"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rubrics", "R.json"], "give a name and a file"),
        (["--rubrics", "no rubric={rubric}"], "is taken"),
        (["--rubrics", "a={other}"], "for none of the problems"),
        (["--out", "{data}", "--format", "md"], "is the input itself"),
        (["--leave-out", "{data}"], "no problem is left"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_judged(
    pairs: Path,
    tmp_path: Path,
    use_here: UseJudges,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    judge = RubricJudge(rule, scale=None)
    use_here(ruled=lambda labels: judge)
    instance = RubricInstance("0" * 16, SOURCE.items)
    names = {
        "rubric": rubric_file(tmp_path / "R.json", SOURCE),
        "other": rubric_file(tmp_path / "O.json", Criterion("rubric", instances=(instance,))),
        "data": pairs,
    }
    given = [each.format(**names) for each in arguments]
    assert main(["rubric", "eval", str(pairs), "--judge", "ruled", *given]) == 1
    assert message in capsys.readouterr().err
    assert judge.calls == []


def test_against_an_endpoint_a_second_run_pays_for_nothing(
    pairs: Path,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        text = response_of(body)
        if "[begin of response 1" in text:
            first = text.partition("[end of response 1")[0]
            return Answer(judgement(1 if "a source" in first else 2))
        return Answer(judgement(5 if "a source" in text else 1))

    server = serve(answer)
    monkeypatch.setenv("TEST_KEY", "sk-0123456789")
    judge = f"prompt:model=m,base_url={server.url},key_env=TEST_KEY"
    command = ["rubric", "eval", str(pairs), "--judge", judge, "--format", "json", "--no-exploit"]
    assert main(command) == 0
    first = capsys.readouterr().out
    # Eight responses apart, and four pairs in two orders.
    assert len(server.calls) == 16
    assert main(command) == 0
    assert len(server.calls) == 16
    assert capsys.readouterr().out == first
    [table] = [t for t in json.loads(first)["sections"][0]["tables"] if t["title"] == "pairs"]
    figures = {row[0]: row[table["columns"].index("accuracy")]["value"] for row in table["rows"]}
    assert figures == {NO_RUBRIC_NAME: 0.625, PAIRWISE_NAME: 0.625}


def test_the_rubric_of_people_is_a_condition_where_rows_have_one(
    tmp_path: Path, use_here: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"rubric": f"Is it {n}?"} for n, row in enumerate(pair_rows())]
    path = write(tmp_path / "own.jsonl", rows)
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    command = ["rubric", "eval", str(path), "--judge", "ruled", "--format", "json"]
    assert main(command) == 0
    sections = json.loads(capsys.readouterr().out)["sections"]
    names = [row[0] for row in sections[0]["tables"][-1]["rows"]]
    assert names == [NO_RUBRIC_NAME, HUMAN_NAME, f"another problem's ({HUMAN_NAME})", PAIRWISE_NAME]

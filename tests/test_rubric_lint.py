"""`inspector rubric lint`: each fault is found where it is, and nowhere else."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from rubric_lint_items import NOTHING, SOUND

from inspector_plugin.cli.main import main
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.rubrics.item_texts import likeness, mentions_answer
from inspector_plugin.rubrics.lint import lint
from inspector_plugin.rubrics.lint_data import LintData, read_lint_data
from inspector_plugin.schema import (
    Criterion,
    ItemVerdict,
    RubricFile,
    RubricInstance,
    RubricItem,
    rubric_score,
)

ROOT = Path(__file__).resolve().parents[1]
OURS = ROOT / "examples/rubrics/gsm8k.yaml"


def of(*texts: str, **fields: Any) -> Criterion:
    items = [RubricItem(f"i{n}", text, **fields) for n, text in enumerate(texts)]
    return Criterion("rubric", items=tuple(items))


def rules(criterion: Criterion, data: LintData | None = None) -> list[tuple[str, str, str]]:
    return [(each.severity, each.item, each.rule) for each in lint(criterion, data)]


@pytest.mark.parametrize(
    ("text", "severity", "rule"),
    [
        ("The explanation is good.", "warning", "vague"),
        ("The response is written in an appropriate style.", "warning", "vague"),
        ("The response states the unit and explains each step.", "warning", "double-barrelled"),
        ("It shows the sum; it names the unit.", "warning", "double-barrelled"),
        ("The sum is shown. The unit is named.", "warning", "double-barrelled"),
        ("The response matches the reference answer.", "error", "unverifiable"),
        ("The writer believes in the result.", "error", "unverifiable"),
        ("The final answer is 29.", "error", "leaks"),
        ("The response ends with \\boxed{12}.", "error", "leaks"),
        ("The response chooses the answer is (C).", "error", "leaks"),
    ],
)
def test_a_faulty_item_is_named_with_a_remedy(text: str, severity: str, rule: str) -> None:
    found = lint(of(text))
    assert [(each.severity, each.item, each.rule) for each in found] == [(severity, "i0", rule)]
    assert found[0].remedy
    assert found[0].problem


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in NOTHING.items() for text in texts]
)
def test_an_item_that_states_nothing_is_an_error_with_a_remedy(rule: str, text: str) -> None:
    (found,) = lint(of(text))
    assert (found.severity, found.item, found.rule) == ("error", "i0", rule)
    assert found.remedy


@pytest.mark.parametrize("text", SOUND)
def test_sound_statements_of_many_kinds_are_left_alone(text: str) -> None:
    assert lint(of(text)) == []


def test_blanks_do_not_keep_a_linter_busy() -> None:
    started = time.perf_counter()
    lint(of(f"The response is not a{' ' * 1500}number."))
    assert time.perf_counter() - started < 5


def test_anchors_say_what_words_leave_open() -> None:
    """The rubrics that people wrote for the Vicuna questions are of this form."""
    text = "How well does the response explain the idea, and is it easy to understand?"
    anchors = {1: "no idea is explained", 5: "each idea has an example"}
    assert lint(of(text, kind="principle", anchors=anchors)) == []
    assert rules(of(text)) == [("error", "i0", "no statement")]
    assert rules(of("The explanation is easy to follow.")) == [("warning", "i0", "vague")]


def test_items_copied_from_the_data_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    question = "Ann has four rows of nine jars each and sells seven of them. How many are left?"
    rows = [
        {"question": question, "response": "She begins with 36 jars and has 29 of them left."},
        {"question": "How many legs do 6 cows have?", "responses": ["They have 24 legs in all."]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = (
        "Ann has four rows of nine jars each.",
        "She begins with 36 jars, and has 29 of them left over.",
        "They have 24 legs in all.",
        "The response says how many she sells, and takes seven of them from 36.",
    )
    criterion = of(*texts)
    found = lint(criterion, read_lint_data(path, criterion))
    assert [(each.item, each.rule) for each in found] == [
        ("i0", "copied"),
        ("i1", "copied"),
        ("i2", "copied"),
    ]
    # What stands in another problem's responses is no copy for an instance.
    own = RubricInstance(problem_identity(question), (RubricItem("x", texts[2]),))
    many = Criterion("rubric", instances=(own,))
    assert rules(many, read_lint_data(path, many)) == [("warning", "rubric", "other problems")]


@pytest.mark.parametrize(
    "text",
    [
        "The response lists the names and numbers of all boxes.",
        "Every number taken from the problem has the value that it has there.",
        "The response ends with one number as its final answer.",
        "The response uses 24 hours for a day.",
        "The final answer is the quantity asked for.",
        "The first sentence names Dr. Brown, who asked.",
    ],
)
def test_a_sound_item_is_left_alone(text: str) -> None:
    assert lint(of(text)) == []


def test_items_that_say_the_same_overlap() -> None:
    criterion = of(
        "The response shows every step of the calculation.",
        "All steps of the calculation are shown.",
        "The response names a unit.",
    )
    assert rules(criterion) == [("error", "i1", "overlapping")]
    assert likeness("No step is skipped.", "A step is skipped.") == 1  # each other's contrary
    assert likeness("It rhymes.", "The unit is named.") == 0


def test_an_item_without_weight_is_named() -> None:
    items = (RubricItem("a", "It rhymes."), RubricItem("b", "The unit is named.", weight=0))
    assert rules(Criterion("rubric", items=items)) == [("warning", "b", "weightless")]


def test_answers_of_the_data_must_not_stand_in_items(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = [
        {"question": "4 rows of 9 jars, 7 sold. How many left?", "answer": "36 - 7 = 29\n#### 29"},
        {"question": "How many legs do 6 cows have?", "answer": 24},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    criterion = of(
        "The response gets 29 jars.", "The response uses 4 and 36.", "It has 2.9 or 290."
    )
    assert rules(criterion, read_lint_data(path, criterion)) == [("error", "i0", "leaks")]
    # An instance is compared with the answer to its own problem.
    own = RubricInstance(problem_identity(rows[1]["question"]), (RubricItem("x", "It gets 29."),))
    many = Criterion("rubric", instances=(own,))
    assert rules(many, read_lint_data(path, many)) == [("warning", "rubric", "other problems")]
    assert not mentions_answer("It has 4 rows.", "4 rows?", "4")


def judged(path: Path, criterion: Criterion, values: list[list[float | None]]) -> None:
    """Write a file in which items got these verdicts, response by response."""
    with path.open("w") as file:
        for number, row in enumerate(values):
            verdicts = {
                item.key: ItemVerdict(value, None if value is not None else "unread")
                for item, value in zip(criterion.items, row, strict=True)
            }
            score = rubric_score(criterion, verdicts).to_json()
            score |= {"scale": [1, 2, 3, 4, 5], "fingerprint": criterion.fingerprint}
            stored = {"format_version": 2, "scores": {"rubric": score}}
            line = {"question": f"q{number}", "response": "r", "judgements": {"j": stored}}
            file.write(json.dumps(line) + "\n")


def test_verdicts_tell_what_is_always_so_and_what_says_the_same(tmp_path: Path) -> None:
    criterion = of("It rhymes.", "The unit is named.", "A date is given.", "It sings.", "It limps.")
    path = tmp_path / "judged.jsonl"
    # Always true, never true, one that varies, its opposite, and one that is mostly unread.
    rows = [[1.0, 0.1, v, 1 - v, None if n else 1.0] for n, v in enumerate([0.9, 0.2, 0.7] * 5)]
    judged(path, criterion, rows)
    found = rules(criterion, read_lint_data(path, criterion))
    assert found == [
        ("error", "i0", "always true"),
        ("error", "i1", "always false"),
        ("error", "i3", "overlapping"),
    ]
    judged(path, criterion, rows[:9])
    assert rules(criterion, read_lint_data(path, criterion)) == []  # too few to tell
    other = of("It rhymes.", "The unit is named.", "A date is given.", "It sings.", "It weeps.")
    judged(path, criterion, rows)
    assert rules(other, read_lint_data(path, other)) == []  # verdicts on another rubric


def test_the_example_passes_and_the_status_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rubric", "lint", str(OURS), "--strict"]) == 0
    assert capsys.readouterr().out == "10 items: 0 errors, 0 warnings\n"
    vague = tmp_path / "vague.json"
    vague.write_text(RubricFile("v", of("It is a good \x1b[31m text.")).text(".json"))
    assert main(["rubric", "lint", str(vague)]) == 0
    out = capsys.readouterr().out
    assert "warning: i0: vague: 'good' leaves open what is meant; say what in the" in out
    assert "\x1b" not in out
    assert main(["rubric", "lint", str(vague), "--strict"]) == 1
    wrong = tmp_path / "wrong.json"
    wrong.write_text(RubricFile("w", of("The answer is 29.")).text(".json"))
    assert main(["rubric", "lint", str(wrong)]) == 1


def test_the_last_line_says_how_many_verdicts_were_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    criterion = of("It rhymes.", "The unit is named.")
    rubric, path = tmp_path / "r.json", tmp_path / "judged.jsonl"
    rubric.write_text(RubricFile("r", criterion).text(".json"))
    judged(path, criterion, [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] * 4)
    assert main(["rubric", "lint", str(rubric), "--data", str(path)]) == 0
    said = capsys.readouterr()
    assert said.out == "2 items, verdicts on 12 responses: 0 errors, 0 warnings\n"
    assert said.err == ""
    judged(path, criterion, [[1.0, 0.0]] * 9)
    main(["rubric", "lint", str(rubric), "--data", str(path)])
    assert "verdicts on 9 responses only" in capsys.readouterr().err
    path.write_text('{"question": "How many?"}\n')
    main(["rubric", "lint", str(rubric), "--data", str(path)])
    assert "holds no verdicts on this rubric" in capsys.readouterr().err


def test_a_verdict_that_a_file_lacks_is_unread(tmp_path: Path) -> None:
    criterion = of("It rhymes.", "The unit is named.")
    path = tmp_path / "judged.jsonl"
    judged(path, criterion, [[1.0, 0.0], [0.0, 1.0]])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    del lines[0]["judgements"]["j"]["scores"]["rubric"]["items"]["i1"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = read_lint_data(path, criterion)
    first, second = (data.verdicts(criterion, item).tolist() for item in criterion.items)
    assert first == [1.0, 0.0]
    assert str(second) == "[nan, 1.0]"


def test_a_rubric_for_other_problems_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = RubricInstance("0" * 16, (RubricItem("x", "It rhymes."),))
    rubric = tmp_path / "r.json"
    rubric.write_text(RubricFile("r", Criterion("rubric", instances=(own,))).text(".json"))
    data = tmp_path / "rows.jsonl"
    data.write_text('{"question": "How many?", "response": "3"}\n')
    assert main(["rubric", "lint", str(rubric), "--data", str(data)]) == 1
    assert "it has no items for 1 of the 1 problems" in capsys.readouterr().out
    data.write_text('{"other": 1}\n')
    assert main(["rubric", "lint", str(rubric), "--data", str(data)]) == 1
    assert "no row has a problem" in capsys.readouterr().err

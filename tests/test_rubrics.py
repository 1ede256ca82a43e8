"""Rubrics as data: items, instances, files, fingerprints and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from inspector_plugin.cli.main import main
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.rubrics import for_problem, require_items
from inspector_plugin.errors import CriteriaError, DataError
from inspector_plugin.schema import (
    BINARY,
    ROSCOE,
    Criterion,
    CriterionScore,
    ItemVerdict,
    RubricFile,
    RubricInstance,
    RubricItem,
    Scale,
    parse_criteria,
    read_criteria_file,
    read_rubric_file,
    rubric_score,
)

ROOT = Path(__file__).resolve().parents[1]
ITEMS = (
    RubricItem("shown", "The steps are shown.", weight=2),
    RubricItem("tone", "The tone is friendly.", "principle", anchors={1: "cold", 5: "warm"}),
    RubricItem("slip", "A sum is wrong.", "pitfall", weight=3),
)
RUBRIC = Criterion("rubric", items=ITEMS)
ITEM_ROW: dict[str, Any] = {"key": "shown", "text": "The steps are shown."}


def verdicts(**values: float | None) -> dict[str, ItemVerdict]:
    return {
        key: ItemVerdict(value, None if value is not None else "no idea")
        for key, value in values.items()
    }


def rubric_file(**fields: Any) -> dict[str, Any]:
    criterion = {"key": "rubric", "items": [ITEM_ROW]} | fields
    return {"format_version": 1, "name": "mine", "criteria": [criterion]}


def write(folder: Path, content: Any, name: str = "r.yaml") -> Path:
    path = folder / name
    text = yaml.safe_dump(content) if name.endswith("yaml") else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("values", "score"),
    [
        # By hand: (2 shown + tone - 3 slip), from -3 to 3, mapped to 1-5.
        ({"shown": 1, "tone": 1, "slip": 0}, 5.0),
        ({"shown": 0, "tone": 0, "slip": 1}, 1.0),
        ({"shown": 1, "tone": 0.5, "slip": 1}, 1 + 4 * 2.5 / 6),
        ({"shown": 0.5, "tone": 0.25, "slip": 0.1}, 1 + 4 * (1 + 0.25 - 0.3 + 3) / 6),
    ],
)
def test_a_score_is_the_weighted_verdicts_less_the_pitfalls(
    values: dict[str, float], score: float
) -> None:
    scored = rubric_score(RUBRIC, verdicts(**values))
    assert scored.score == pytest.approx(score)
    assert scored.label == RUBRIC.scale.nearest(score)
    assert scored.items == verdicts(**values)


def test_scores_go_to_the_ends_of_any_scale_even_for_pitfalls_alone() -> None:
    pitfalls = Criterion("rubric", scale=Scale((-1, 0, 1)), items=(ITEMS[2],))
    assert rubric_score(pitfalls, verdicts(slip=1)).score == -1
    assert rubric_score(pitfalls, verdicts(slip=0)).score == 1
    binary = Criterion("rubric", scale=BINARY, items=ITEMS[:1])
    assert rubric_score(binary, verdicts(shown=0.75)).score == 0.75


def test_an_unread_item_leaves_the_score_out_with_its_reason_and_keeps_the_others() -> None:
    scored = rubric_score(RUBRIC, verdicts(shown=1, tone=None))
    assert scored.score is None
    assert scored.reason == "item 'slip' (and 1 more) of the rubric was not read: " + (
        "there is no verdict on it"
    )
    scored = rubric_score(RUBRIC, verdicts(shown=1, tone=None, slip=0))
    assert scored.reason == "item 'tone' of the rubric was not read: no idea"
    assert scored.items == verdicts(shown=1, tone=None, slip=0)


def test_verdicts_travel_with_the_score_through_json() -> None:
    scored = rubric_score(RUBRIC, verdicts(shown=1, tone=None, slip=0.25))
    row = json.loads(json.dumps(scored.to_json()))
    stored: dict[str, Any] = {"question": "q", "response": "r"}
    whole = row | {"scale": [1, 2, 3, 4, 5], "fingerprint": RUBRIC.fingerprint}
    stored["judgements"] = {"judge": {"format_version": 2, "scores": {"rubric": whole}}}
    assert row["items"]["tone"] == {"value": None, "reason": "no idea"}
    assert CriterionScore.from_json(row) == scored
    schema = json.loads((ROOT / "docs/schemas/judgement.schema.json").read_text())
    jsonschema.validate(stored, schema)
    whole["items"]["tone"] = {"value": None}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(stored, schema)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ItemVerdict(None),
        lambda: ItemVerdict(0.5, "why"),
        lambda: ItemVerdict(1.5),
        lambda: ItemVerdict(float("nan")),
    ],
)
def test_verdicts_that_say_nothing_certain_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"verdict|ItemVerdict"):
        make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"items": "Be kind and correct."}, r"criteria\[0\].*must be a list of items.*prose"),
        ({"items": ["Be kind."]}, r"items\[0\]: must hold key, text, .* not str 'Be kind.'"),
        ({"items": []}, r"items: there are none"),
        ({"items": [ITEM_ROW | {"text": " "}]}, r"items\[0\]\.text: item 'shown' needs one"),
        ({"items": [ITEM_ROW | {"text": "x" * 2001}]}, r"items\[0\]\.text: .* at most 2000"),
        ({"items": [ITEM_ROW, ITEM_ROW]}, r"items\[1\]\.key: two items have the key 'shown'"),
        (
            {"items": [ITEM_ROW, {"key": "b", "text": "the steps are SHOWN"}]},
            r"items\[1\]\.text: item 'b' repeats item 'shown'",
        ),
        ({"items": [ITEM_ROW | {"weight": 0}]}, "the weights sum to zero"),
        ({"items": [ITEM_ROW | {"weight": -1}]}, r"weight: -1 is not from 0 .* pitfall"),
        ({"items": [ITEM_ROW | {"weight": float("nan")}]}, r"weight: nan is not from 0"),
        ({"items": [ITEM_ROW | {"weight": True}]}, "weight: must be a number"),
        ({"items": [ITEM_ROW | {"kind": "must"}]}, r"kind: 'must' is none of rule, principle"),
        ({"items": [ITEM_ROW | {"scale": [0, 1]}]}, r"items\[0\]\.scale: unknown field"),
        ({"items": [ITEM_ROW | {"anchors": {1: "a"}}]}, r"anchors: say what 1 and 5 mean"),
        ({"items": [ITEM_ROW | {"anchors": {0: "a", 5: "b"}}]}, "anchors: 0 is no rating"),
        (
            {"items": [ITEM_ROW | {"kind": "pitfall", "anchors": {1: "a", 5: "b"}}]},
            "a pitfall is answered by yes or no",
        ),
        ({"anchors": {1: "bad"}}, "anchors: the score of a rubric follows from its items"),
        ({"items": [{"key": f"k{n}", "text": f"T {n}"} for n in range(65)]}, "at most 64"),
        ({"items": None, "instances": [{"problem": "x", "items": [ITEM_ROW]}]}, "identity of a"),
        ({"items": None, "instances": "all"}, "instances: must be a list"),
        (
            {"instances": [{"problem": "0" * 16, "items": [ITEM_ROW]}]},
            r"instances\[0\]: items\[1\]\.key: two items have the key",
        ),
        (
            {"items": None, "instances": [{"problem": "0" * 16, "items": [ITEM_ROW]}] * 2},
            r"instances\[1\]\.problem: 0{16} is given twice",
        ),
    ],
)
def test_rubrics_that_are_none_are_refused(
    fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CriteriaError, match=message):
        read_criteria_file(write(tmp_path, rubric_file(**fields)))


def test_criteria_without_items_have_the_fingerprints_that_they_had() -> None:
    # As version 0.3 wrote them into packs and judgement files.
    assert [each.fingerprint for each in ROSCOE[:2]] == ["cf6a09806b2b5cef", ROSCOE[1].fingerprint]
    assert "items" not in ROSCOE[0].to_json()
    assert Criterion("a", "", "b").fingerprint != Criterion("a", "", "b", items=ITEMS).fingerprint
    lighter = RubricItem("slip", "A sum is wrong.", "pitfall")
    heavier = Criterion("rubric", items=(*ITEMS[:2], lighter))
    assert heavier.fingerprint != RUBRIC.fingerprint


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    instance = RubricInstance("0" * 16, (RubricItem("own", "It says 7 jars."),), "p1", "x", True)
    both = Criterion("rubric", "T", "About it.", items=ITEMS, instances=(instance,))
    file = RubricFile("mine", both, "forty rows", {"spec": "prompt:m", "seed": 3})
    for suffix in (".yaml", ".json"):
        path = tmp_path / f"r{suffix}"
        path.write_text(file.text(suffix), encoding="utf-8")
        read = read_rubric_file(path)
        assert read.criterion == both
        assert read.source == "forty rows"
        assert read.generator == {"spec": "prompt:m", "seed": 3}
        assert not read.is_edited
        assert parse_criteria(str(path)) == (both,)
        path.write_text(file.text(suffix).replace("7 jars", "8 jars"), encoding="utf-8")
        assert read_rubric_file(path).is_edited


def test_a_rubric_file_holds_one_rubric(tmp_path: Path) -> None:
    plain = {"key": "care", "definition": "It is careful."}
    with pytest.raises(CriteriaError, match="'care' has no items, so it is no rubric"):
        read_rubric_file(write(tmp_path, {**rubric_file(), "criteria": [plain]}))
    two = {**rubric_file(), "criteria": [plain, rubric_file()["criteria"][0]]}
    with pytest.raises(CriteriaError, match="holds one criterion, not care, rubric"):
        read_rubric_file(write(tmp_path, two))


def test_the_schema_takes_rubrics_and_refuses_what_the_reader_refuses() -> None:
    schema = json.loads((ROOT / "docs/schemas/criteria.schema.json").read_text())
    instance = {"problem": "0" * 16, "items": [ITEM_ROW], "transductive": True}
    whole = rubric_file(items=[item.to_json() for item in ITEMS], instances=[instance])
    whole |= {"source": "rows", "generator": {"a": 1}, "fingerprint": "0" * 16}
    jsonschema.validate(whole, schema)
    short: dict[str, Any] = {"items": [{"key": "a"}]}
    for wrong in ({"items": "prose"}, {"items": []}, short, {"instances": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(rubric_file(**wrong), schema)


def test_a_problem_gets_the_items_for_it_however_it_is_written() -> None:
    own = RubricInstance(problem_identity("How many jars?"), (RubricItem("own", "It counts."),))
    other = RubricInstance("f" * 16, (RubricItem("own", "It weighs."),))
    many = Criterion("rubric", items=ITEMS[:1], instances=(own, other))
    (found,) = for_problem((many,), "Question: how many JARS?")
    assert [item.text for item in found.items] == ["The steps are shown.", "It counts."]
    assert found == Criterion("rubric", items=(*ITEMS[:1], *own.items))
    # Adding another problem's items leaves those judged by this one alone.
    fewer = Criterion("rubric", items=ITEMS[:1], instances=(own,))
    (again,) = for_problem((fewer,), "How many jars?")
    assert again.fingerprint == found.fingerprint != many.fingerprint
    assert for_problem((many,), "How many pots?") == (many,)
    require_items((many,), ["How many pots?", "How many jars?"], "here")
    with pytest.raises(DataError, match="items for 2 problems, and none of them is among the 1"):
        require_items((many,), ["How many pots?"], "here")


def test_what_made_an_instance_is_no_part_of_the_fingerprint() -> None:
    def many(**fields: Any) -> Criterion:
        instance = RubricInstance("0" * 16, ITEMS, **fields)
        return Criterion("rubric", instances=(instance,))

    assert many(id="a", source="b", transductive=True).fingerprint == many().fingerprint


def test_show_prints_hostile_text_in_plain_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = ITEM_ROW | {"text": "red \x1b[31m\u202e text"}
    heads = {"source": "a\x1b[2J", "generator": {"problems": ["0" * 16] * 20}}
    path = write(tmp_path, rubric_file(items=[hostile]) | heads, "r.json")
    assert main(["rubric", "show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "generator problems: 20\n" in out
    assert "shown (rule, weight 1): red \ufffd[31m\ufffd text" in out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert main(["criteria", "show", str(path)]) == 0
    assert "\x1b" not in (shown := capsys.readouterr().out)
    assert "shown (rule" in shown


def test_show_finds_one_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = problem_identity("How many jars?")
    instance = {"problem": name, "id": "p7", "items": [ITEM_ROW], "transductive": True}
    path = write(tmp_path, rubric_file(items=None, instances=[instance]))
    for given in ("p7", name, "How many jars?"):
        assert main(["rubric", "show", str(path), "--problem", given]) == 0
        out = capsys.readouterr().out
        assert f"problem {name} (p7); made from responses" in out
        assert "shown (rule" in out
    assert main(["rubric", "show", str(path), "--problem", "p8"]) == 1
    assert "has no items for the problem 'p8'" in capsys.readouterr().err
    assert main(["rubric", "show", str(path)]) == 0
    assert "items for 1 problem\n" in capsys.readouterr().out


def test_diff_names_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path, rubric_file(items=[item.to_json() for item in ITEMS]), "a.json")
    changed = [ITEMS[0].to_json() | {"weight": 5}, {"key": "new", "text": "It is new."}]
    second = write(tmp_path, rubric_file(items=[*changed, ITEMS[1].to_json()]), "b.json")
    assert main(["rubric", "diff", str(first), str(second)]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split() for line in lines]
    assert lines[2] == "3 differences"
    assert ["shown", "weight", "2", "5"] in cells
    assert [row[1] for row in cells if row[:1] == ["slip"]] == ["dropped"]
    assert [row[1] for row in cells if row[:1] == ["new"]] == ["added"]
    one = write(
        tmp_path, rubric_file(items=[*map(RubricItem.to_json, ITEMS), changed[1]]), "c.json"
    )
    assert main(["rubric", "diff", str(first), str(one)]) == 0
    assert "1 difference\n" in capsys.readouterr().out
    assert main(["rubric", "diff", str(first), str(first)]) == 0
    assert "hold the same rubric" in capsys.readouterr().out

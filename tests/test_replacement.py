"""May a cheap judge replace the reference: the rule, data sets that stand against it, cascades."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from inspector_plugin.agreement.bars import Bar
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.cascade_choice import (
    CASCADE,
    CHEAP,
    DEAR,
    _lowest,
    choose_cascades,
    pilot_of,
    pilots_of,
    route_of,
    shares_asked,
)
from inspector_plugin.agreement.cascade_plan import CascadePoint, PilotScores
from inspector_plugin.agreement.replacement import DEFAULT_BAR, Replacement, replacements
from inspector_plugin.data.score_table import ScoreTable, read_score_table
from inspector_plugin.schema import BINARY, MULTICLASS

ACCURACY = Bar("accuracy", 0.9)


def table(path: Path, cells: Sequence[tuple[str, int, int]], confidence: float = 0.8) -> ScoreTable:
    """A table of (data set, label of the cheap judge, label of the reference)."""
    lines = []
    for number, (dataset, cheap, dear) in enumerate(cells):
        shares = dict.fromkeys(range(1, 6), (1 - confidence) / 4) | {cheap: confidence}
        ours = {"score": cheap, "label": cheap, "scale": [1, 2, 3, 4, 5], "probabilities": shares}
        theirs = {"score": dear, "label": dear, "scale": [1, 2, 3, 4, 5]}
        judgements = {
            name: {"format_version": 2, "scores": {"fluency": score}}
            for name, score in (("distilled", ours), ("dear", theirs))
        }
        lines.append(
            {
                "id": str(number),
                "question": f"q{number}",
                "response": "r" * (number + 1),
                "dataset": dataset,
                "judgements": judgements,
            }
        )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_score_table([path])


def found_in(scores: ScoreTable, *bars: Bar) -> Replacement:
    sides = {"fluency": (scores.column("distilled", "fluency"), scores.column("dear", "fluency"))}
    [found] = replacements(scores, sides, bars, resamples=200)
    return found


RIGHT = [("a", 1 + n % 5, 1 + n % 5) for n in range(40)]
WRONG = [("b", 1 + n % 5, 1 + (n + 2) % 5) for n in range(40)]


def test_the_lower_end_of_the_interval_has_to_clear_the_bar(tmp_path: Path) -> None:
    assert (DEFAULT_BAR.figure, DEFAULT_BAR.value) == ("quadratic_kappa", 0.6)
    good = found_in(table(tmp_path / "good.jsonl", RIGHT), DEFAULT_BAR)
    assert (good.clears, good.may_replace, good.is_better_than_chance) == (True, True, True)
    assert good.datasets == {}  # there is one alone
    # 36 of 40 are right: .9 itself, and less at the lower end.
    nearly = table(tmp_path / "nearly.jsonl", [*RIGHT[:36], *WRONG[:4]])
    assert found_in(nearly, Bar("accuracy", 0.85)).clears is False
    assert found_in(nearly, Bar("accuracy", 0.7)).clears is True
    # All bars have to be cleared, each.
    assert found_in(nearly, Bar("accuracy", 0.7), Bar("accuracy", 0.85)).clears is False
    bad = found_in(table(tmp_path / "bad.jsonl", WRONG), DEFAULT_BAR)
    assert (bad.may_replace, bad.is_better_than_chance) == (False, False)


def test_a_data_set_can_stand_against_it(tmp_path: Path) -> None:
    many = [("a", 1 + n % 5, 1 + n % 5) for n in range(400)]
    found = found_in(table(tmp_path / "both.jsonl", [*many, *WRONG]), DEFAULT_BAR)
    assert found.clears
    assert {name: each.answer for name, each in found.datasets.items()} == {"a": "yes", "b": "no"}
    assert found.missed_datasets == ["b"]
    assert not found.may_replace
    # A few responses of a data set tell nothing, for or against.
    few = found_in(table(tmp_path / "few.jsonl", [*many, *WRONG[:29]]), DEFAULT_BAR)
    assert few.datasets["b"].answer == "not shown"
    assert "29 responses to 29 problems are too few to tell" in few.datasets["b"].words
    assert few.may_replace


def test_a_figure_that_is_not_defined_is_not_shown_to_miss(tmp_path: Path) -> None:
    many = [("a", 1 + n % 5, 1 + n % 5) for n in range(400)]
    same = [("b", 3, 3)] * 40  # no kappa where all labels are one
    found = found_in(table(tmp_path / "same.jsonl", [*many, *same]), DEFAULT_BAR)
    assert found.datasets["b"].answer == "not shown"
    assert "quadratic_kappa is not defined" in found.datasets["b"].words
    assert found.may_replace


def pilot(right: Sequence[bool], confidence: Sequence[float]) -> PilotScores:
    dear = np.arange(len(right)) % 5
    cheap = np.where(right, dear, (dear + 1) % 5)
    return PilotScores(
        cheap.astype(np.intp),
        dear.astype(np.intp),
        np.array(confidence),
        np.zeros(len(right), dtype=np.bool_),
        np.arange(len(right)),
        MULTICLASS,
    )


def test_the_cascade_asks_where_the_cheap_judge_errs() -> None:
    """Half of the labels are wrong, and just these have a confidence of .4."""
    half = pilot([n % 2 == 0 for n in range(100)], [0.9 if n % 2 == 0 else 0.4 for n in range(100)])
    # A quarter is wrong, told apart by a higher confidence.
    quarter = pilot([n % 4 > 0 for n in range(100)], [0.9 if n % 4 else 0.6 for n in range(100)])
    found = choose_cascades({"half": half, "quarter": quarter}, [ACCURACY], resamples=200)
    assert {key: point.threshold for key, point in found.items()} == {
        "half": pytest.approx(0.41),
        "quarter": pytest.approx(0.61),
    }
    assert {key: point.asked.value for key, point in found.items()} == {
        "half": 0.5,
        "quarter": 0.25,
    }
    assert found["half"].agreement is not None
    assert found["half"].agreement.value == 1.0
    # Of two bars the stricter one decides.
    strict = choose_cascades({"half": half}, [Bar("accuracy", 0.1), ACCURACY], resamples=200)
    assert strict["half"].threshold == pytest.approx(0.41)


def test_one_threshold_clears_all_bars() -> None:
    """At .6 the second bar is cleared for the first time, and the first one missed again."""

    def points(*lows: float) -> list[CascadePoint]:
        return [
            CascadePoint(threshold, Estimate(threshold), Estimate(1.0, low, 1.0))
            for threshold, low in zip((0.4, 0.6, 0.8), lows, strict=True)
        ]

    tried = [points(0.95, 0.85, 0.95), points(0.5, 0.9, 0.9)]
    found = _lowest(tried, [ACCURACY, Bar("macro_f1", 0.9)])
    assert found is tried[0][2]
    assert _lowest([points(0.1, 0.2, 0.3)], [ACCURACY]) is None


def test_there_is_no_cascade_that_saves_nothing_or_cannot_be_planned() -> None:
    # All wrong, and as sure of it as of anything.
    wrong = pilot([False] * 100, [0.5] * 100)
    half = pilot([n % 2 == 0 for n in range(100)], [0.9 if n % 2 == 0 else 0.4 for n in range(100)])
    found = choose_cascades({"wrong": wrong, "half": half}, [ACCURACY], resamples=200)
    assert list(found) == ["half"]
    assert choose_cascades({}, [ACCURACY]) == {}
    for bar in (Bar("spearman", 0.5), Bar("coverage", 0.9), Bar("accuracy", 0.5, is_least=False)):
        assert choose_cascades({"half": half}, [ACCURACY, bar], resamples=200) == {}


def test_who_judges_a_criterion_and_what_the_reference_still_does(tmp_path: Path) -> None:
    good = found_in(table(tmp_path / "good.jsonl", RIGHT), DEFAULT_BAR)
    unsure = Replacement("unsure", None)
    untrained = Replacement("untrained", None, why_not="too few labels")
    half = pilot([n % 2 == 0 for n in range(100)], [0.9 if n % 2 == 0 else 0.4 for n in range(100)])
    cascades = choose_cascades({"unsure": half}, [ACCURACY], resamples=200)
    every = [good, unsure, untrained]
    assert [route_of(each, cascades) for each in every] == [CHEAP, CASCADE, DEAR]
    assert [route_of(each, {}) for each in every] == [CHEAP, DEAR, DEAR]
    shares = shares_asked(every, cascades)
    assert {key: share.value for key, share in shares.items()} == {
        "fluency": 0.0,
        "unsure": 0.5,
        "untrained": 1.0,
    }


def test_a_judge_no_better_than_chance_is_no_part_of_a_cascade(tmp_path: Path) -> None:
    fair = [*RIGHT[:25], *WRONG[25:]]
    for cells, expected in ((WRONG, []), (fair, ["fluency"]), (RIGHT, [])):
        scores = table(tmp_path / "some.jsonl", cells)
        sides = {
            "fluency": (scores.column("distilled", "fluency"), scores.column("dear", "fluency"))
        }
        found = replacements(scores, sides, [DEFAULT_BAR], resamples=200)
        assert list(pilots_of(scores, sides, found)) == expected


def test_binary_labels_are_planned_as_low_and_high(tmp_path: Path) -> None:
    scores = table(tmp_path / "some.jsonl", RIGHT[:10])
    ours = scores.column("distilled", "fluency").as_binary()
    found = pilot_of(scores, [(ours, scores.column("dear", "fluency"))])
    assert found is not None
    assert found.scale == BINARY
    assert found.dear.tolist() == [0, 0, 0, 1, 1] * 2  # of 1 to 5, twice

"""Which rows the reference is to label: held-out problems, strata, doubt, and known chances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from inspector_plugin.data import shapes
from inspector_plugin.data.requests import RequestRow, make_requests
from inspector_plugin.errors import DataError
from inspector_plugin.judges.inspector.temperature import (
    best_temperature,
    tempered,
    tempered_by_folds,
)
from inspector_plugin.workflows.distill_choice import (
    HELD_OUT,
    TRAINING,
    Doubts,
    choose_rows,
    chosen_lines,
    held_out_rows,
    pool_of,
    read_candidates,
)


def rows(problems: int, models: int = 2, **fields: Any) -> list[RequestRow]:
    """Responses of models to problems; those of the last model are the longest."""
    given = [
        {
            "id": problem,
            "question": f"What is {problem} + 1?",
            "response": f"{problem} " + "so " * (20 * model) + f"{model}.",
            "model": f"m{model}",
            **fields,
        }
        for problem in range(problems)
        for model in range(models)
    ]
    return list(make_requests(("here", row) for row in given))


def test_rows_that_cannot_be_labelled_are_counted_with_their_reason() -> None:
    some = rows(3, 1)
    bad = [{"question": "q", "response": " "}, {"question": "\n", "response": "r"}]
    bad += [{"question": "q", "response": "\ud800"}, dict(some[0].row)]
    found = read_candidates([*some, *make_requests(("here", row) for row in bad)])
    assert found.numbers.tolist() == [0, 1, 2]
    assert found.left_out == {
        "without a response": 1,
        "without a question": 1,
        "not valid Unicode": 1,
        "the same question and response as an earlier row": 1,
    }
    with pytest.raises(DataError, match=r"None of the rows can be labelled \(without a resp.*: 1"):
        read_candidates(make_requests([("here", bad[0])]))


def test_whole_problems_are_held_out() -> None:
    found = read_candidates(rows(50))
    held = held_out_rows(found, 0.3, seed=1)
    assert len(set(found.problems[held])) == 15
    assert not set(found.problems[held]) & set(found.problems[~held])
    assert held.tolist() == held_out_rows(found, 0.3, seed=1).tolist()
    assert held.tolist() != held_out_rows(found, 0.3, seed=2).tolist()
    with pytest.raises(DataError, match=r"30 problems; holding 0.2 of them back leaves 6 on one"):
        held_out_rows(read_candidates(rows(30)), 0.2, seed=0)


def test_ids_of_different_data_sets_are_different_problems() -> None:
    both = [*rows(2, 1, dataset="a"), *rows(2, 1, dataset="b")]
    both[2:] = make_requests(
        ("here", {**row.row, "question": f"other {row.row['question']}"}) for row in both[2:]
    )
    assert len(set(read_candidates(both).problems)) == 4
    # One question is one problem, whatever it is called.
    assert len(set(read_candidates(rows(2, 2)).problems)) == 2


def test_every_stratum_gets_its_share_and_chances_are_known() -> None:
    found = read_candidates(rows(60, 3))
    held = held_out_rows(found, 0.5, seed=0)
    chosen = choose_rows(found, held, 60, 0.4, seed=0)
    assert (chosen.count(HELD_OUT), chosen.count(TRAINING)) == (24, 36)
    models = Counter((chosen.parts[number][0], number % 3) for number in chosen.parts)
    assert [models[HELD_OUT, model] for model in range(3)] == [8, 8, 8]
    assert [models[TRAINING, model] for model in range(3)] == [12, 12, 12]
    assert {chance for part, chance in chosen.parts.values() if part == HELD_OUT} == {
        round(24 / 90, 6)
    }
    for number, (part, _) in chosen.parts.items():
        assert held[number] == (part == HELD_OUT)


def test_unsure_rows_are_chosen_more_often_with_the_chance_written_down() -> None:
    found = read_candidates(rows(200, 1))
    held = held_out_rows(found, 0.5, seed=0)
    training = np.flatnonzero(~held)
    unsure = np.where(np.arange(100) < 50, 0.6, 0.0)
    doubts = Doubts(training, unsure, np.zeros(100))
    counts: Counter[int] = Counter()
    chances = {}
    for seed in range(300):
        for number, (part, chance) in choose_rows(found, held, 60, 0.5, seed, doubts).parts.items():
            if part == TRAINING:
                counts[number] += 1
                chances[number] = chance
    # Of 30: half by equal chances, half in proportion to doubt, so .45 and .15 each.
    assert {chances[number] for number in training[:50]} == {0.45}
    assert {chances[number] for number in training[50:]} == {0.15}
    for some, chance in ((training[:50], 0.45), (training[50:], 0.15)):
        often = [counts[number] / 300 for number in some.tolist()]
        assert np.mean(often) == pytest.approx(chance, abs=0.006)
        assert max(abs(share - chance) for share in often) < 0.12  # 4 standard errors


def test_a_pool_is_drawn_first_and_counts_in_the_chances() -> None:
    found = read_candidates(rows(200, 1))
    held = held_out_rows(found, 0.5, seed=0)
    pool = pool_of(found, ~held, 8, seed=0)
    assert len(pool) == 24
    assert not held[pool].any()
    doubts = Doubts(pool, np.zeros(24), np.zeros(24))
    chosen = choose_rows(found, held, 20, 0.6, seed=0, doubts=doubts)
    # 8 of a pool of 24 that was drawn out of 100.
    assert {chance for part, chance in chosen.parts.values() if part == TRAINING} == {0.08}
    assert set(chosen.parts) - set(np.flatnonzero(held).tolist()) <= set(pool.tolist())


def test_all_rows_can_be_chosen_and_a_short_part_gives_to_the_other() -> None:
    found = read_candidates(rows(30, 1))
    held = held_out_rows(found, 0.5, seed=0)
    every = choose_rows(found, held, 99, 0.4, seed=0)
    assert len(every.parts) == 30
    assert {chance for _, chance in every.parts.values()} == {1.0}
    most = choose_rows(found, held, 20, 0.9, seed=0)
    assert (most.count(HELD_OUT), most.count(TRAINING)) == (15, 5)


def test_chosen_lines_bring_no_judgements_along_and_are_in_random_order() -> None:
    some = rows(40, 1, dataset="mine", judgements={"other": {}})
    found = read_candidates(some)
    chosen = choose_rows(found, held_out_rows(found, 0.5, seed=0), 40, 0.5, seed=0)
    lines = list(chosen_lines(some, chosen, seed=0))
    assert sorted(line["id"] for line in lines) == list(range(40))
    assert [line["id"] for line in lines] != list(range(40))
    assert all("judgements" not in line for line in lines)
    for line in lines:
        part, chance = chosen.parts[line["id"]]
        assert line["distill"] == {"part": part, "chance": chance}


def shares(confident: float, right: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of label 0 of two, and the labels."""
    return np.tile([confident, 1 - confident], (len(right), 1)), np.where(right, 0, 1)


def test_a_temperature_makes_confidence_what_is_right() -> None:
    """Label 0 with .9 where 3 of 4 are right: log(9)/T = log(3), so T = 2, if rows are many."""
    predicted, labels = shares(0.9, [True, True, True, False] * 2500)
    assert best_temperature(predicted, labels) == pytest.approx(2.0, abs=0.005)
    assert tempered(predicted, 2.0)[0] == pytest.approx([0.75, 0.25])
    assert tempered(predicted, 1.0) is predicted
    # The likeliest label stays, and a probability of 0 is no error.
    assert tempered(np.array([[1.0, 0.0], [0.4, 0.6]]), 3.0).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("rows", [4, 40, 400])
def test_few_rows_that_are_all_right_make_nothing_certain(rows: int) -> None:
    """Where the derivative by log T of rows * log(1 + 9**(-1/T)) + (log T)**2 / (2 * .25) is 0."""
    found = best_temperature(*shares(0.9, [True] * rows))
    logit = np.log(9) / found
    assert rows * logit / (1 + np.exp(logit)) == pytest.approx(-np.log(found) / 0.25, abs=0.01)
    assert 0.2 < found < 1


def test_each_fold_is_calibrated_by_the_others() -> None:
    predicted, labels = shares(0.9, [True, True, True, False] * 1000 + [True] * 4000)
    first, last = np.arange(4000), np.arange(4000, 8000)
    found = tempered_by_folds(predicted, labels, [(first, last), (last, first)])
    assert found[last, 0] == pytest.approx(0.75, abs=0.005)  # of the first half, 3 of 4
    assert (found[first, 0] > 0.99).all()  # in the last half, all are right


@pytest.mark.parametrize("value", [0, 0.01, 21, True, "2", None, float("nan")])
def test_a_card_names_a_temperature_within_bounds(value: object) -> None:
    check = shapes.number(0.05, 20)
    check(2, "temperature")
    check(0.05, "temperature")
    with pytest.raises(ValueError, match=r"temperature must be a number from 0\.05 to 20, not "):
        check(value, "temperature")

"""Solutions in other styles, worked solutions and pairs, as training texts."""

from __future__ import annotations

import random

import pytest

from inspector_plugin.judges.inspector.arithmetic.number_words import number_in_words
from inspector_plugin.judges.inspector.styles import STYLES, restyle
from inspector_plugin.judges.inspector.training_texts import (
    ATTEMPT,
    PAIRS,
    WORKED,
    made_texts,
    pair_texts,
    restyled_texts,
    worked_texts,
)

QUESTION = "Ann has 3 apples, buys 4 more and eats 2. How many are left?"
LAID_OUT = ("one_paragraph", "list_of_steps", "sentence_a_line")
SOLUTION = "1. She has 3 + 4 = 7 apples.\n2. Then 7 - 2 = 5 are left.\nThe answer is 5."


def test_what_each_style_keeps() -> None:
    found = {style: restyle(SOLUTION, style, random.Random(0)) for style in STYLES}
    equations = found["equations_only"]
    assert equations is not None
    assert "3 + 4 = 7" in equations
    assert "7 - 2 = 5" in equations
    assert "apples" not in equations
    assert (
        found["one_paragraph"]
        == "She has 3 + 4 = 7 apples. Then 7 - 2 = 5 are left. The answer is 5."
    )
    steps = found["list_of_steps"]
    assert steps is not None
    assert steps.endswith("**The answer is 5.**")
    assert steps.startswith("#")
    lines = found["sentence_a_line"]
    assert lines is not None
    assert lines.split() == SOLUTION.replace("1. ", "").replace("2. ", "").split()
    spelt = found["numbers_in_words"]
    assert spelt is not None
    assert "She has three plus four makes seven apples." in spelt
    assert not any(character.isdigit() for character in spelt.replace("1.", "").replace("2.", ""))
    asked = found["questions_and_answers"]
    assert asked is not None
    assert asked.splitlines()[-1] == "Q: So what is the answer? A: The answer is 5."
    table = found["table_of_equations"]
    assert table is not None
    assert table.splitlines()[2:4] == ["| 3 + 4 | 7 |", "| 7 - 2 | 5 |"]
    other = found["other_language"]
    assert other is not None
    assert "3 + 4 = 7." in other
    assert other.endswith(" 5.")
    assert "apples" not in other
    ending = found["ending_alone"]
    assert ending is not None
    assert SOLUTION.replace("2. ", "").replace("\n", " ").endswith(ending)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (312, "three hundred twelve"),
        (1000, "one thousand"),
        (7045, "seven thousand forty-five"),
    ],
)
def test_numbers_in_words(number: int, words: str) -> None:
    assert number_in_words(number) == words


@pytest.mark.parametrize("style", STYLES)
def test_a_style_that_does_not_apply_gives_nothing(style: str) -> None:
    assert restyle("Yes", style, random.Random(0)) is None


def test_worked_solutions_are_right_and_by_people() -> None:
    rows = [
        {"question": f"What is {n} + 1?", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"}
        for n in range(9)
    ]
    texts = worked_texts("mine", rows, 4, seed=0)
    assert len(texts) == 4
    assert all(
        text.correct and text.origin == WORKED and "<<" not in text.response for text in texts
    )
    (other,) = worked_texts("mine", [{"problem": "What is 2?", "solution": "Two."}], 4, seed=0)
    assert (other.question, other.response) == ("What is 2?", "Two.")


def test_of_pairs_the_right_one_is_right_and_alone_a_source_of_made_ones() -> None:
    planted = SOLUTION.replace("7 - 2 = 5", "7 - 2 = 4")
    texts = pair_texts("mine", [{"question": QUESTION, "response": SOLUTION, "planted": planted}])
    assert {text.response: text.correct for text in texts} == {SOLUTION: True, planted: False}
    assert all(text.origin == PAIRS and text.is_good(ATTEMPT) for text in texts)
    assert not any(text.is_good("logicality") for text in texts if not text.correct)
    made = made_texts(texts, 5, 5, seed=0)
    assert not any("7 - 2 = 4" in text.response for text in made if text.kind == "steps_shuffled")
    assert sum(text.kind == "refusal" for text in made) == 1


def test_restyled_solutions_are_attempts_and_good_where_their_style_takes_nothing_away() -> None:
    (real,) = worked_texts("mine", [{"question": QUESTION, "answer": SOLUTION}], 1, seed=0)
    restyled = restyled_texts([real], 5, seed=0)
    assert {text.kind for text in restyled} == set(STYLES)
    for text in restyled:
        assert text.is_good(ATTEMPT)
        assert not text.breaks("fluency")
        as_good = text.kind in ("numbers_in_words", "questions_and_answers", *LAID_OUT)
        assert text.is_good("fluency") is as_good
        assert text.is_good("informativeness") is as_good
        assert text.is_good("logicality") is (text.kind != "ending_alone")
        assert text.correct is None
    assert restyled == restyled_texts([real], 5, seed=0)

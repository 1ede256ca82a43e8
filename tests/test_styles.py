"""Solutions in other styles, worked solutions and pairs, as training texts."""

from __future__ import annotations

import random

import pytest

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


def test_restyled_solutions_are_attempts_and_nothing_else() -> None:
    (real,) = worked_texts("mine", [{"question": QUESTION, "answer": SOLUTION}], 1, seed=0)
    restyled = restyled_texts([real], 5, seed=0)
    assert {text.kind for text in restyled} == set(STYLES)
    for text in restyled:
        assert text.is_good(ATTEMPT)
        assert not text.breaks("fluency")
        assert not text.is_good("fluency")
        assert text.correct is None
    assert restyled == restyled_texts([real], 5, seed=0)

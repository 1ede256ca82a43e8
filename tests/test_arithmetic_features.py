"""Quantities of a text, and what sums up the arithmetic of a response, checked by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from inspector_plugin.judges.inspector.arithmetic import (
    ARITHMETIC_FEATURES,
    arithmetic_features,
    final_answer,
    quantities,
    used_quantities,
)


def values(text: str) -> list[Fraction]:
    return [quantity.value for quantity in quantities(text)]


def test_quantities_are_numbers_fractions_percentages_and_words() -> None:
    assert values("3 cats and $1,200.50") == [3, Fraction("1200.5")]
    assert values("twelve eggs, a dozen, half, twice") == [12, 12, Fraction(1, 2), 2]
    assert values("two-thirds of a third, 3/4 and ½") == [
        Fraction(2, 3), Fraction(1, 3), Fraction(3, 4), Fraction(1, 2),
    ]  # fmt: skip
    assert values(r"\frac{2}{5} and 2 million") == [Fraction(2, 5), 2_000_000]
    assert values("1. Buy 5\n2) Sell 4\nStep 3: <<1+1=2>>9") == [5, 4, 9]
    assert values("someone tenable often") == []
    (percent,) = quantities("20% off")
    assert percent.percent
    assert percent.readings >= {Fraction(20), Fraction(1, 5), Fraction(80), Fraction(4, 5)}


def test_used_quantities_name_what_is_used_and_what_comes_from_nowhere() -> None:
    problem = "Ann has 15 pens. She buys 3 packs of 8 pens and gives away 20%."
    response = "3 * 8 = 24. 15 + 24 = 39. Then 39 * 0.8 = 31.2, and 77 are lost."
    use = used_quantities(problem, response)
    assert sorted(q.value for q in use.given) == [3, 8, 15, 20]
    assert all(use.used)
    assert [q.text for q in use.unexplained] == ["77"]
    # A result is explained only after it was computed.
    early = used_quantities(problem, "45 pens. 3 * 15 = 45. So 45.")
    assert [(q.text, q.start) for q in early.unexplained] == [("45", 0)]
    assert early.share_used == pytest.approx(2 / 4)
    assert early.share_unexplained == pytest.approx(1 / 5)
    assert used_quantities("How many?", "none").share_used is None


def test_a_division_uses_both_of_its_numbers() -> None:
    problem = "They share 4800 stamps among 15 children."
    for division in ("4800 / 15 = 320", "4800/15 = 320", r"\frac{4800}{15} = 320"):
        use = used_quantities(problem, division)
        assert use.used == (True, True)
        assert use.unexplained == ()
    other = used_quantities(problem, "4800 / 17 is too much")
    assert other.used == (False, True)
    assert [quantity.text for quantity in other.unexplained] == ["4800 / 17"]


def test_the_final_answer_is_the_marked_or_the_last_number() -> None:
    for text in ("A: 42", "#### 42", r"so \boxed{42} of 50", "The answer is 42.", "3 or 42"):
        answer = final_answer(text)
        assert answer is not None
        assert answer.value == 42
    assert final_answer("no number") is None


def features(question: str, response: str, annotations: bool = True) -> dict[str, float]:
    vector = arithmetic_features(question, response, annotations)
    assert vector.shape == (len(ARITHMETIC_FEATURES),)
    return dict(zip(ARITHMETIC_FEATURES, vector.tolist(), strict=True))


def test_features_say_what_their_names_promise() -> None:
    question = "Tom has 15 apples and eats 4. How many are left?"
    right = features(question, "15 - 4 = 11\nA: 11")
    assert right["share_right"] == right["quantities_used"] == right["answer_computed"] == 1
    assert right["any_wrong"] == right["unexplained"] == right["quantities_unused"] == 0
    assert right["first_wrong"] == right["results_used"] == right["answer_plain"] == 1
    wrong = features(question, "So 15 - 6 = 8\nA: 7")
    assert wrong["share_right"] == 0
    assert wrong["any_wrong"] == 1
    assert wrong["first_wrong"] == pytest.approx(3 / 18)
    assert wrong["quantities_used"] == 0.5
    assert wrong["quantities_unused"] == pytest.approx(0.6931, abs=1e-4)
    assert wrong["answer_computed"] == wrong["results_used"] == 0
    # 6 and 7 come from nowhere among 15, 6, 8 and 7; 7 is common knowledge, days of a week.
    assert wrong["unexplained"] == pytest.approx(1 / 4)
    assert features(question, "A: -3")["answer_plain"] == 0
    assert features(question, "15 / 4 = 3.75")["fractions"] == 1
    nothing = features(question, "I do not know.")
    assert nothing["answer_present"] == nothing["equations"] == nothing["quantities_used"] == 0


@pytest.mark.parametrize(("answer", "computed"), [("33", 1), ("32", 1), ("35", 0), ("32.5", 1)])
def test_a_result_may_be_rounded_to_the_answer(answer: str, computed: int) -> None:
    question = "1300 pupils, 40 to a bus: how many buses?"
    response = f"1300 / 40 = 32.5, so we order {answer} buses."
    found = features(question, response)
    assert found["answer_computed"] == found["results_used"] == computed
    assert (found["unexplained"] == 0) is bool(computed)


def test_features_without_annotations_do_not_read_them() -> None:
    question = "15 apples, 4 eaten"
    text = "He has 15-4=<<15-4=12>>11 left.\nA: 11"
    assert features(question, text)["any_wrong"] == 1
    assert features(question, text, annotations=False)["any_wrong"] == 0

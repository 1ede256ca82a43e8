"""Which rows are about the same problem."""

from __future__ import annotations

from inspector_plugin.data.problems import problem_key, problem_names


def test_a_key_is_the_same_in_whatever_order_the_words_stand() -> None:
    assert problem_key("Which is odd?\n3\n4") == problem_key("Which is odd? 4 3")
    assert problem_key("Which is odd?\n3\n4") != problem_key("Which is odd?\n3\n5")
    assert len(problem_key("")) == len(problem_key("unpaired: \ud83d")) == 12


def test_rows_share_a_problem_by_id_or_by_words_or_over_other_rows() -> None:
    ids = ["a", "b", "c", "a", "d", "e"]
    questions = ["odd? 3 4", "even? 3 4", "odd? 4 3", "prime? 3 4", "prime? 4 3", "even? 5"]
    # c and a share their words; d shares its words with the second row of a; e shares none.
    assert problem_names(ids, questions) == ["a", "b", "a", "a", "a", "e"]
    assert problem_names([], []) == []

"""The edits of `inspector audit FILE`: what they do to a text, and that they can be repeated."""

from __future__ import annotations

import random

import pytest

from inspector_plugin.audits.edits import (
    CALCULATION,
    CORRECTNESS,
    EDITS,
    LOWER,
    NO_RISE,
    SAME,
    chosen_edits,
    planted_edit,
)
from inspector_plugin.errors import OptionError
from inspector_plugin.schema.criteria import TOTAL

QUESTION = "Ada buys 3 boxes of 12 eggs and breaks 5. How many eggs are left?"
RESPONSE = (
    "Ada buys 3 boxes of 12 eggs, so she has 3 * 12 = 36 eggs.\n\n"
    "1. First she puts them all on the table.\n\n"
    "2. Then 5 of them break, which leaves 36 - 5 = 31 eggs.\n\n"
    "So the answer is 31."
)


def edited(key: str, response: str = RESPONSE, seed: int = 0) -> str:
    text = EDITS[key].apply(QUESTION, response, seed)
    assert text is not None
    return text


def words(text: str) -> list[str]:
    return sorted(text.replace("*", "").replace("#", "").replace("- ", "").split())


def test_an_edit_depends_on_seed_problem_and_response_alone() -> None:
    for key in EDITS:
        random.seed(0)
        first = edited(key)
        random.seed(1)
        assert edited(key) == first
    assert len({edited("padding", seed=seed) for seed in range(10)}) > 1
    assert len({edited("truncation", seed=seed) for seed in range(10)}) > 1


@pytest.mark.parametrize("key", ["padding", "flattery", "instructions", "restated_question"])
def test_what_is_added_leaves_the_response_whole(key: str) -> None:
    text = edited(key)
    assert RESPONSE in text
    assert len(text) > len(RESPONSE)
    assert (QUESTION in text) == (key == "restated_question")


def test_padding_doubles_the_length_and_says_nothing_of_the_problem() -> None:
    text = edited("padding")
    assert len(text) >= 2 * len(RESPONSE)
    added = text.replace(RESPONSE, "")
    assert not any(character.isdigit() for character in added)
    assert "egg" not in added


def test_markdown_keeps_the_words() -> None:
    text = edited("markdown")
    assert text.startswith("### Solution")
    assert "**3** * **12** = **36** eggs" in text
    assert "\n1. First" in text
    assert words(text.removeprefix("### Solution")) == words(RESPONSE)
    assert "**9.99**" in edited("markdown", "It costs 9.99 and not 10x or $4, so pay.\nDone.")


@pytest.mark.parametrize(
    ("ending", "kept"),
    [
        ("So the answer is 31.", "he answer is 31."),
        ("#### 31", "31"),
        ("The final answer is: 31.", "31."),
        ("Betty has 31 eggs.", ": Betty has 31 eggs."),
    ],
)
def test_only_what_leads_to_the_result_is_reworded(ending: str, kept: str) -> None:
    before = "She has 3 * 12 = 36 eggs.\n"
    for seed in range(5):
        text = edited("reworded_ending", before + ending, seed)
        assert text.startswith(before)
        assert text.endswith(kept)
        assert text != before + ending


def test_truncation_breaks_off_in_a_sentence_around_the_middle() -> None:
    for seed in range(20):
        text = edited("truncation", seed=seed)
        assert RESPONSE.startswith(text)
        assert 0.3 < len(text) / len(RESPONSE) < 0.62
        assert text[-1].isalnum()
    assert EDITS["truncation"].apply(QUESTION, "31", 0) is None


def test_steps_are_shuffled_but_for_the_last_and_numbered_anew() -> None:
    for seed in range(20):
        text = edited("shuffled_steps", seed=seed)
        steps, before = text.split("\n\n"), RESPONSE.split("\n\n")
        assert steps[-1] == before[-1]
        assert steps != before
        bare = [step.lstrip("12. ") for step in before]
        assert sorted(step.lstrip("12. ") for step in steps) == sorted(bare)
        assert [step[:2] for step in steps if step[:2] in ("1.", "2.")] == ["1.", "2."]
    sentences = "First, 2 + 2 = 4. Then 4 + 1 = 5. Also 5 + 1 = 6. So it is 6."
    assert edited("shuffled_steps", sentences).endswith(" So it is 6.")
    assert EDITS["shuffled_steps"].apply(QUESTION, "One. Two.", 0) is None


def test_one_calculation_is_wrong() -> None:
    for seed in range(10):
        text = edited("wrong_calculation", seed=seed)
        assert ("= 36 eggs" in text) != ("= 31 eggs" in text)
    assert EDITS["wrong_calculation"].apply(QUESTION, "There is nothing to compute.", 0) is None


def test_what_a_fair_judge_does() -> None:
    assert EDITS["padding"].expected("fluency") == NO_RISE
    assert EDITS["padding"].expected(TOTAL) == NO_RISE
    assert EDITS["markdown"].expected("anything_of_the_users") == SAME
    assert EDITS["truncation"].expected("informativeness") == LOWER
    assert EDITS["truncation"].expected("semantic_consistency") == NO_RISE
    for edit in (EDITS["wrong_calculation"], planted_edit("random number")):
        for measure in ("logicality", "factuality", CALCULATION, CORRECTNESS, TOTAL):
            assert edit.expected(measure) == LOWER
        assert edit.expected("fluency") == NO_RISE


def test_wrong_numbers_and_operations_are_one_edit() -> None:
    assert planted_edit("random number") == planted_edit("random operation")
    assert planted_edit("remove step") != planted_edit("swap steps")
    assert planted_edit("repeat step").expected(TOTAL) == NO_RISE
    unknown = planted_edit("of another kind")
    assert unknown.key == "planted of another kind"
    assert (unknown.expected(CORRECTNESS), unknown.expected("fluency")) == (LOWER, NO_RISE)


def test_chosen_edits() -> None:
    assert chosen_edits(None, False) == tuple(EDITS.values())
    chosen = chosen_edits("truncation, padding,planted,padding", True)
    assert [edit.key for edit in chosen] == ["truncation", "padding"]
    with pytest.raises(OptionError, match="Did you mean 'padding'"):
        chosen_edits("paddin", True)
    with pytest.raises(OptionError, match="no row of the file has the field 'planted'"):
        chosen_edits("planted", False)
    with pytest.raises(OptionError, match="names no edit"):
        chosen_edits(" ,", True)

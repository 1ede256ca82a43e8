"""Tests of the plugin; the first is all that a judge needs to begin with."""

import pytest
from inspector_length_judge import LengthJudge

from inspector_plugin import JudgeRequest
from inspector_plugin.errors import OptionError
from inspector_plugin.testing import check_judge


def test_contract() -> None:
    check_judge(LengthJudge(words=200))


@pytest.mark.parametrize(("words", "score"), [(5, 3.0), (10, 5.0), (99, 5.0)])
def test_score_is_a_straight_line_up_to_the_top(words: int, score: float) -> None:
    [judgement] = LengthJudge(words=10).judge([JudgeRequest("?", "word " * words, ("fluency",))])
    assert judgement.aspects["fluency"].score == score


def test_words_must_be_positive() -> None:
    with pytest.raises(OptionError, match="at least 1, not 0"):
        LengthJudge(words=0)

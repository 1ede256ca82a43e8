"""Tests of the plugin; the first is all that a judge needs to begin with."""

import pytest
from inspector_length_judge import LengthJudge, LengthOptions

from inspector_plugin import Criterion, JudgeRequest, Scale
from inspector_plugin.errors import OptionError
from inspector_plugin.testing import check_judge

CARE = Criterion("care", definition="It checks its steps.", scale=Scale((1, 2, 3, 4, 5, 6, 7)))


def test_contract() -> None:
    check_judge(LengthJudge(LengthOptions()))


@pytest.mark.parametrize(("words", "fluency", "care"), [(5, 3.0, 4.0), (10, 5.0, 7.0), (99, 5, 7)])
def test_score_is_a_straight_line_up_to_the_top(words: int, fluency: float, care: float) -> None:
    request = JudgeRequest("?", "word " * words, ("fluency", CARE))
    [judgement] = LengthJudge(LengthOptions(words=10)).judge([request])
    scores = {key: score.score for key, score in judgement.scores.items()}
    assert scores == {"fluency": fluency, "care": care}


def test_words_must_be_positive() -> None:
    with pytest.raises(OptionError, match="at least 1, not 0"):
        LengthJudge(LengthOptions(words=0))

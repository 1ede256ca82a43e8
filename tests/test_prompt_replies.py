"""Reading a language model's judgement."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable

import pytest

from inspector_plugin.judges.prompt.messages import Token
from inspector_plugin.judges.prompt.replies import (
    ReplyFault,
    Verdict,
    parse_reply,
    score_probabilities,
)
from inspector_plugin.schema.roscoe import ROSCOE

LOGICALITY, FLUENCY, FACTUALITY = ROSCOE[1], ROSCOE[3], ROSCOE[4]
GOOD = '{"score": 4, "justification": "sound"}'
NO_OBJECT = "no complete JSON object"
NO_SCORE = "not a whole number from 1 to 5"


def one(text: str) -> Verdict:
    return parse_reply(text, (LOGICALITY,), joint=False)["logicality"]


@pytest.mark.parametrize(
    ("text", "score", "justification"),
    [
        (GOOD, 4, "sound"),
        (f"```json\n{GOOD}\n```", 4, "sound"),
        (f"Here is my judgement of $\\{{1, 2\\}}$:\n{GOOD}\nI hope it helps.", 4, "sound"),
        (f'<think>maybe {{"score": 1}}?</think>\n{GOOD}', 4, "sound"),
        (f'[THINK]maybe {{"score": 1}}?[/THINK]\n{GOOD}', 4, "sound"),
        (
            f'<|channel|>analysis<|message|>{{"score": 1}}<|channel|>final<|message|>{GOOD}',
            4,
            "sound",
        ),
        ('{"score": "4", "justification": "sound"}', 4, "sound"),
        ('{"score": 4.0, "justification": "sound"}', 4, "sound"),
        ('{"score": "4/5", "justification": "sound"}', 4, "sound"),
        ('{"score": 4/5, "justification": "sound"}', 4, "sound"),
        ('{"justification": "sound", "score": 4 / 5}', 4, "sound"),
        (r'{"score": 2, "justification": "\(x^2\) is \sqrt{y}"}', 2, r"\(x^2\) is \sqrt{y}"),
        (r'{"score": 2, "justification": "\\(x\\) and \(y\)"}', 2, r"\(x\) and \(y\)"),
        (r'{"score": 2, "justification": "\frac{1}{2} of \beta"}', 2, r"\frac{1}{2} of \beta"),
        ('{"score": 2, "justification": "two\nlines"}', 2, "two\nlines"),
        ('{"score": 2}', 2, None),
        ('{"score": 2, "justification": ["a"]}', 2, None),
        (" 3 ", 3, None),
        ("Score: 3/5.", 3, None),
    ],
)
def test_certain_meaning_is_read(text: str, score: int, justification: str | None) -> None:
    assert one(text) == Verdict(score, justification)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("<think>hm</think>", "empty"),
        ("I would say 4.", NO_OBJECT),
        ("4/10", NO_SCORE),
        ('{"score": 4, "justification": "cut o', NO_OBJECT),
        ("{" * 100_000, NO_OBJECT),
        ('{"a": ' * 100_000, NO_OBJECT),
        ('{"score": %s}' % ("4" * 400), NO_SCORE),
        ('{"score": %s}' % ("4" * 5000), NO_SCORE),
        ('{"score": 1e400}', NO_SCORE),
        ("<think>It is 4.", "empty"),
        ("[THINK]hm[/THINK]", "empty"),
        ("[4]", NO_OBJECT),
        (f"{GOOD} or {GOOD}", "more than one JSON object"),
        # The object that is read must not be one that the reply quotes.
        ('{"score": 1, "justification": "It says {"score": 5} to me"}', NO_OBJECT),
        ('{"score": 1, "score": 5}', "given twice"),
        ('{"rating": 4}', 'no "score"'),
        ('{"score": 6}', NO_SCORE),
        ('{"score": 0}', NO_SCORE),
        ('{"score": 4.5}', NO_SCORE),
        ('{"score": "8/10"}', NO_SCORE),
        ('{"score": true}', NO_SCORE),
        ('{"score": null}', NO_SCORE),
        ('{"score": NaN}', NO_SCORE),
        ('{"score": {"value": 4}}', NO_SCORE),
    ],
)
def test_anything_else_is_a_fault(text: str, fault: str) -> None:
    with pytest.raises(ReplyFault, match=fault):
        one(text)


def test_joint_replies_need_every_criterion() -> None:
    reply = {"fluency": {"score": 5, "justification": "a"}, "logicality": {"score": "2/5"}}
    verdicts = parse_reply(json.dumps(reply), (LOGICALITY, FLUENCY), joint=True)
    assert verdicts == {"logicality": Verdict(2, None), "fluency": Verdict(5, "a")}
    with pytest.raises(ReplyFault, match="no object for factuality"):
        parse_reply(json.dumps(reply), (FLUENCY, FACTUALITY), joint=True)
    with pytest.raises(ReplyFault, match=NO_OBJECT):
        parse_reply("4", (FLUENCY,), joint=True)


@pytest.mark.parametrize(
    "write",
    [
        lambda n: " " * n,
        lambda n: "`" * n,
        lambda n: "```" + " " * n + "x",
        lambda n: "4" + " " * n + "x",
        lambda n: '{"score": "4' + " " * n + 'x"}',
        lambda n: '{"score": "4/' + " " * n + 'x"}',
        lambda n: '{"score"' + " " * n + "x",
        lambda n: '{"score": 4 ' * (n // 12),
        lambda n: "<think>" * (n // 7),
        lambda n: "{ " * (n // 2),
        lambda n: "\\" * n,
    ],
)
def test_reading_takes_time_in_proportion_to_the_length(write: Callable[[int], str]) -> None:
    """A hundred times the text takes at most a few hundred times the time, not 10,000 times."""

    def seconds(length: int) -> float:
        text, best = write(length), math.inf
        for _ in range(3):
            started = time.perf_counter()
            with contextlib.suppress(ReplyFault):
                one(text)
            with contextlib.suppress(ReplyFault):
                parse_reply(text, (LOGICALITY,), joint=True)
            best = min(best, time.perf_counter() - started)
        return best

    seconds(2_000)
    assert seconds(200_000) < 500 * max(seconds(2_000), 2e-5)


def tokens(*texts: str, score_at: int, **logprobs: float) -> list[Token]:
    candidates = {key.removeprefix("p"): math.log(value) for key, value in logprobs.items()}
    return [Token(text, candidates if i == score_at else {}) for i, text in enumerate(texts)]


def test_probabilities_are_those_at_the_score() -> None:
    split = tokens('{"score":', " 4", ', "justification": "5"}', score_at=1, p4=0.6, p5=0.2)
    text = "".join(token.text for token in split)
    assert score_probabilities(text, split, FLUENCY, 4, joint=False) == pytest.approx(
        {1: 0, 2: 0, 3: 0, 4: 0.75, 5: 0.25}
    )
    # " 4" and "4" are two tokens of one meaning; what is no score does not count.
    both = [Token("4", {"4": math.log(0.3), " 4": math.log(0.3), "5": math.log(0.2), "x": -0.1})]
    assert score_probabilities("4", both, FLUENCY, 4, joint=False)[4] == pytest.approx(0.75)


def test_probabilities_of_the_right_criterion_in_a_joint_reply() -> None:
    split = tokens(
        '{"fluency": {"score": ', "4", ', "justification": ""}, "logicality": {"score": ', "2",
        "}}", score_at=3, p2=0.5, p1=0.5,
    )  # fmt: skip
    text = "".join(token.text for token in split)
    assert score_probabilities(text, split, LOGICALITY, 2, joint=True)[1] == 0.5
    with pytest.raises(ReplyFault, match="no score is among the candidates"):
        score_probabilities(text, split, FLUENCY, 4, joint=True)


def test_a_score_inside_a_longer_token_has_no_probability() -> None:
    split = tokens('{"score":', "4,", '"justification": ""}', score_at=1, p4=0.6)
    with pytest.raises(ReplyFault, match="no token of the reply consists of the score alone"):
        score_probabilities("".join(t.text for t in split), split, FLUENCY, 4, joint=False)


def test_probabilities_behind_thoughts() -> None:
    thoughts = ("I give", ' {"score": ', "1", "}", " at first", "</think>")
    reply = ('{"score": ', "4", "}")
    split = tokens(*thoughts, *reply, score_at=7, p4=0.75, p5=0.25)
    for said in (thoughts, thoughts[:-1]):  # with and without the mark at their end
        kept = [token for token in split if token.text in (*said, *reply)]
        found = score_probabilities("".join(reply), kept, FLUENCY, 4, joint=False)
        assert (found[4], found[5]) == pytest.approx((0.75, 0.25))

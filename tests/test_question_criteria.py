"""Criteria that judge a question alone: no response is needed, and none is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, ChatServer, judgement
from endpoint_judges import MakeJudge, Serve

from inspector_plugin.cli import score
from inspector_plugin.cli.main import main
from inspector_plugin.data.requests import RequestForm, RowFields
from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.errors import CriteriaError, DataError
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judges.inspector.training import why_not_trainable
from inspector_plugin.judges.lager.prompts import PromptForm, question_fingerprint
from inspector_plugin.judges.recorded import DIFFERENT, NOT_RECORDED_OF_QUESTION
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.calls import NO_QUESTIONS
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import EMPTY_QUESTION, EMPTY_RESPONSE, NOT_UNICODE, judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import Criterion, Judgement, JudgeRequest
from inspector_plugin.schema.criteria_files import parse_criteria
from inspector_plugin.testing import ScriptedJudge

ROOT = Path(__file__).parent.parent
ANSWERABLE = Criterion("answerable", "Answerability", "It has an answer.", judges="question")
CARE = Criterion("care", "Care", "The response checks its steps.")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    content = {"format_version": 1, "name": "own", "criteria": [ANSWERABLE.to_json()]}
    Path("own.json").write_text(json.dumps(content))
    return tmp_path


def write(path: str, *rows: dict[str, Any]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def script(value: int) -> Callable[[str], Judge]:
    return lambda labels: ScriptedJudge(lambda request, key: 1 + len(request.question) % value)


def test_a_criterion_says_what_it_judges() -> None:
    assert Criterion.from_json(ANSWERABLE.to_json()) == ANSWERABLE
    assert ANSWERABLE.of_question
    same = Criterion("answerable", "Answerability", "It has an answer.")
    assert not same.of_question
    assert same.fingerprint != ANSWERABLE.fingerprint
    assert "judges" not in same.to_json()  # so that its fingerprint is what it always was
    with pytest.raises(CriteriaError, match="judges: must be response or question, not 'all'"):
        Criterion("own", "", "-", judges="all")
    rubric = {"key": "r", "judges": "question", "items": [{"key": "a", "text": "-", "weight": 1}]}
    with pytest.raises(CriteriaError, match="judges: the items of a rubric"):
        Criterion.from_json(rubric)


@pytest.mark.parametrize("name", ["emotion", "instruction-data", "answerable"])
def test_the_criteria_files_of_the_examples(name: str) -> None:
    criteria = parse_criteria(str(ROOT / f"examples/uses/{name}.yaml"))
    assert len(criteria) == {"emotion": 1, "instruction-data": 7, "answerable": 1}[name]
    assert sum(each.of_question for each in criteria) == 1


def test_without_a_response_only_the_question_is_judged() -> None:
    judge = ScriptedJudge(lambda request, key: 4)
    empty = JudgeRequest("Why?", " ", (CARE, ANSWERABLE))
    [judged] = judge_all(judge, [empty], progress=False)
    assert judged.scores["answerable"].score == 4
    assert judged.scores["care"].reason == EMPTY_RESPONSE
    assert [request.keys for call in judge.calls for request in call] == [("answerable",)]
    nothing = judge_all(judge, [JudgeRequest("", "", (ANSWERABLE,))], progress=False)
    assert nothing[0].scores["answerable"].reason == EMPTY_QUESTION


class Described(ScriptedJudge):
    def describe(self) -> dict[str, Any]:
        return {"made_of": 1}


def by_question(request: JudgeRequest, key: str) -> int:
    return len(request.question) if key == ANSWERABLE.key else len(request.response)


ASKED = [
    JudgeRequest("Why?", response, (CARE, ANSWERABLE), id=name, correct=correct)
    for response, name, correct in [("a", "1", True), ("bb", "2", False), ("bb", "3", None)]
] + [JudgeRequest("Who", "ccc", (CARE, ANSWERABLE))]


def asked_alone(judge: ScriptedJudge) -> list[tuple[str, str, bool | None]]:
    return [
        (request.question, request.response, request.correct)
        for call in judge.calls
        for request in call
        if request.keys == ("answerable",)
    ]


def test_a_question_is_judged_once_for_all_responses_to_it() -> None:
    judge = ScriptedJudge(by_question)  # without a cache
    judged = judge_all(judge, ASKED, progress=False)
    assert [(j.scores["care"].score, j.scores["answerable"].score) for j in judged] == [
        (1, 4),
        (2, 4),
        (2, 4),
        (3, 3),
    ]
    assert [list(j.scores) for j in judged] == [["care", "answerable"]] * 4
    assert asked_alone(judge) == [("Why?", "", None), ("Who", "", None)]
    assert sum(map(len, judge.calls)) == 4 + 2  # the responses are judged one by one
    elsewhere = [replace(ASKED[0], dataset=name) for name in ("gsm8k", "math")]
    other = replace(ANSWERABLE, definition="It has one answer.")
    judge_all(judge, [*elsewhere, replace(ASKED[0], criteria=(other,))], progress=False)
    assert len(asked_alone(judge)) == 2 + 3  # another data set or wording is another question


def test_the_cache_has_a_question_for_responses_to_come() -> None:
    first, second = Described(by_question), Described(by_question)
    with opened_cache(True) as cache:
        judge_all(first, ASKED[:1], cache=cache, progress=False)
        judged = judge_all(second, ASKED, cache=cache, progress=False)
    assert asked_alone(first) == [("Why?", "", None)]
    assert asked_alone(second) == [("Who", "", None)]
    assert [each.scores["answerable"].score for each in judged] == [4, 4, 4, 3]


def test_only_the_first_response_pays_for_the_question(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(lambda body, number: Answer(content=judgement(5)))
    asked = [JudgeRequest("Why?", response, (ANSWERABLE,)) for response in ("a", "b", "")]
    with make_judge(server) as judge:
        judged = judge_all(judge, asked, progress=False)
    assert len(server.calls) == 1
    assert [each.scores["answerable"].score for each in judged] == [5, 5, 5]
    assert [each.usage.calls for each in judged if each.usage is not None] == [1, 0, 0]


def test_what_is_wrong_with_a_response_is_not_wrong_with_its_question() -> None:
    odd: Any = 7
    asked = [JudgeRequest("Why?", response, (CARE, ANSWERABLE)) for response in (odd, "\ud800")]
    judged = judge_all(ScriptedJudge(by_question), asked, progress=False)
    assert [each.scores["answerable"].score for each in judged] == [4, 4]
    assert [each.scores["care"].reason for each in judged] == [
        "the response is not text but of type int",
        NOT_UNICODE,
    ]


def test_a_run_that_is_interrupted_and_resumed_asks_about_a_question_once(
    use_judges: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Described] = []

    def make(labels: str) -> Judge:
        made.append(Described(by_question))
        return made[-1]

    monkeypatch.setattr(score, "make_registry", lambda: use_judges(by_length=make))
    # More than a chunk.
    write("rows.jsonl", *({"question": "Why?", "response": str(n)} for n in range(70)))
    command = ["score", "rows.jsonl", "--judge", "by_length", "--criteria", "own.json"]
    command += ["--out", "out.jsonl"]
    assert main(command) == 0
    whole = read("out.jsonl")
    scores = [row["judgements"]["by_length"]["scores"]["answerable"]["score"] for row in whole]
    assert scores == [4] * 70
    lines = Path("out.jsonl").read_text().splitlines(keepends=True)
    Path("out.jsonl").write_text("".join(lines[:3]))
    assert main(command) == 0
    assert read("out.jsonl") == whole
    assert [asked_alone(judge) for judge in made] == [[("Why?", "", None)], []]


def test_stored_scores_of_a_question_serve_all_responses_to_it() -> None:
    one = {"question": "Why?", "response": "a", "criterion": "answerable", "score": 2}
    write(
        "scores.jsonl", one, one | {"response": "b"}, one | {"response": "c", "criterion": "care"}
    )
    judge = create_judge("recorded:path=scores.jsonl")
    asked = [JudgeRequest("Why?", response, (CARE, ANSWERABLE)) for response in ("c", "d")]
    judged = judge_all(judge, asked, progress=False)
    assert [each.scores["answerable"].score for each in judged] == [2, 2]
    assert [each.scores["care"].score for each in judged] == [2, None]
    nowhere = judge_all(judge, [replace(asked[0], question="Who?")], progress=False)
    assert nowhere[0].scores["answerable"].reason == NOT_RECORDED_OF_QUESTION
    write("scores.jsonl", one, one | {"response": "b", "score": 3})
    judge = create_judge("recorded:path=scores.jsonl")
    [judged_by_none] = judge_all(judge, asked[:1], progress=False)
    assert judged_by_none.scores["answerable"].reason == DIFFERENT


class ResponsesOnly(Judge):
    def judge(self, requests: Any) -> list[Judgement]:
        raise AssertionError("asked")


def test_a_judge_that_says_nothing_of_questions_is_not_asked() -> None:
    [judged] = judge_all(ResponsesOnly(), [JudgeRequest("Why?", "So.", (ANSWERABLE,))])
    assert judged.scores["answerable"].reason == NO_QUESTIONS


def test_the_cache_tells_forms_of_asking_apart() -> None:
    one, other = ScriptedJudge([4, 4]), ScriptedJudge([4, 4])
    other.question_form = "otherwise"
    asked = [JudgeRequest("Why?", "", (ANSWERABLE,)), JudgeRequest("Why?", "So.", (CARE,))]
    with opened_cache(True) as cache:
        assert cache is not None
        ours, theirs = cache.keys(one, asked), cache.keys(other, asked)
    assert ours[0] != theirs[0]
    assert ours[1] == theirs[1]


def test_probes_are_not_trained_on_it() -> None:
    write("rows.jsonl", {"question": "Why?", "response": "", "criterion": "answerable", "score": 2})
    rows = read_scored("rows.jsonl", (ANSWERABLE,))
    assert rows[0].can_be_judged
    reason = why_not_trainable(rows, ANSWERABLE, TrainingPlan("mine"))
    assert reason == "it judges the question alone, and probes read responses"


def test_lagers_prompt_holds_the_question_and_no_response() -> None:
    form = PromptForm("<", ">", "Score: ", chat=True, reasoning=False)
    segments = form.segments(JudgeRequest("Why <s>?", "hidden"), ANSWERABLE)
    assert "".join(each.text for each in segments) == (
        "<Rate the answerability of a problem. It has an answer.\n\nProblem:\nWhy <s>?"
    )
    assert segments[-1].span == "question"
    assert question_fingerprint() == question_fingerprint() != form.fingerprint()


def test_a_prompt_judge_asks_about_the_question_alone(serve: Serve, make_judge: MakeJudge) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        keys = [key for key in ("answerable", "care") if f'key "{key}"' in str(body)]
        scores = {key: json.loads(judgement(2 + len(key) % 3)) for key in keys}
        return Answer(content=json.dumps(scores) if keys else judgement(5))

    server: ChatServer = serve(answer)
    asked = [JudgeRequest("Why?", "hidden words", (CARE, ANSWERABLE))]
    with make_judge(server) as judge:
        [judged] = judge_all(judge, asked)
    assert judged.scores["answerable"].score == 5
    about = [body["messages"] for body in server.calls if "You judge problems" in str(body)]
    assert len(about) == 1
    assert "hidden" not in str(about)
    assert "judgement of the problem above" in about[0][1]["content"]
    with make_judge(server, mode="joint") as judge:
        [joint] = judge_all(judge, asked)
    assert {key: score.score for key, score in joint.scores.items()} == {
        "care": 3,
        "answerable": 3,
    }
    assert len(server.calls) == 4


def test_rows_need_no_response(
    use_judges: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = use_judges(by_length=script(5))
    monkeypatch.setattr(score, "make_registry", lambda: registry)
    rows = [
        {"id": str(n), "question": "so " * n + "?", "answerable": (1 + (3 * n + 1) % 5) > 2}
        for n in range(40)
    ]
    write("rows.jsonl", *rows)
    command = ["score", "rows.jsonl", "--judge", "by_length", "--criteria", "own.json"]
    assert main([*command, "--out", "out.jsonl"]) == 0
    assert main([*command, "--out", "out.jsonl"]) == 0  # what is there is read back
    assert {row["response"] for row in read("out.jsonl")} == {""}
    capsys.readouterr()
    assert main(["agree", "out.jsonl", "--outcome", "answerable", "--format", "json"]) == 0
    assert '"auc"' in capsys.readouterr().out
    assert main(["agree", "out.jsonl", "--outcome", "answerable"]) == 0
    [line] = [each for each in capsys.readouterr().out.splitlines() if "by_length" in each]
    assert line.split()[4] == "1.00"  # the AUC of a perfect order
    assert " - " in line  # without responses there are no lengths to go by


def test_lager_judges_and_is_tuned_on_questions(
    tiny_lm: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path / "cache"))
    write(
        "rows.jsonl",
        *(
            {"question": f"{n}?", "response": "", "criterion": "answerable", "score": 1 + n % 5}
            for n in range(10)
        ),
    )
    tune = ["lager", "tune", "--data", "rows.jsonl", "--criteria", "own.json", "--folds", "2"]
    tune += ["--answer-prefix", "Score:"]
    assert main([*tune, "--model", str(tiny_lm), "--out", "weights"]) == 0
    judge = f"lager:model={tiny_lm},weights=weights,answer_prefix=Score:"
    assert (
        main(
            ["score", "rows.jsonl", "--judge", judge, "--criteria", "own.json", "--out", "o.jsonl"]
        )
        == 0
    )
    scores = [
        row["judgements"]["lager"]["scores"]["answerable"]["score"] for row in read("o.jsonl")
    ]
    assert len(set(scores)) > 1


def test_a_row_of_other_criteria_still_needs_a_response() -> None:
    with pytest.raises(DataError, match="'response' or 'prediction' is missing"):
        RequestForm(criteria=(CARE, ANSWERABLE)).request_row({"question": "Why?"}, "here")


def test_fields_may_be_templates() -> None:
    fields = RowFields(question="{{a}} and {{b}}", response="{{ c | upper }}")
    row = RequestForm(criteria=(CARE,), fields=fields).request_row(
        {"a": "x", "b": 2, "c": "so"}, "here"
    )
    assert (row.request.question, row.request.response) == ("x and 2", "SO")
    with pytest.raises(DataError, match=r"rows.jsonl, line 3: The text .* 'b' is undefined"):
        RequestForm(fields=fields).request_row({"a": "x"}, "rows.jsonl, line 3")

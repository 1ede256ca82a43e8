"""Panels: one score of several judges', by hand arithmetic; what is missing, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, ChatServer, score_of
from fake_plugin import plugin_folder, write_plugin

from inspector_plugin.cli.main import main
from inspector_plugin.errors import InspectorError, JudgeError, OptionError
from inspector_plugin.judges.members import BLOCK
from inspector_plugin.judges.panel import PanelJudge, PanelOptions, make_panel
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import BINARY, MULTICLASS, CriterionScore, Judgement, JudgeRequest
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import expected_score, unscored
from inspector_plugin.schema.rubrics import RubricItem
from inspector_plugin.schema.usage import Usage
from inspector_plugin.testing import OTHER_CRITERIA, ScriptedJudge, check_judge

REQUEST = JudgeRequest("What is 2 + 3?", "5", ("fluency",))
CARE = OTHER_CRITERIA[0]


def panel(*answers: Any, **options: Any) -> PanelJudge:
    """A panel of members a, b, ... that always answer so."""
    members = {
        name: ScriptedJudge(lambda request, key, answer=answer: answer)
        for name, answer in zip("abcde", answers, strict=False)
    }
    return PanelJudge(members, PanelOptions(**options))


def score(judge: Judge, request: JudgeRequest = REQUEST) -> CriterionScore:
    return judge_all(judge, [request])[0].scores[request.keys[0]]


class Described(ScriptedJudge):
    """A scripted judge that the cache knows, and that costs something."""

    def __init__(self, script: Any, name: str, money: float | None = 0.0) -> None:
        super().__init__(script)
        self._name, self._money = name, money

    def describe(self) -> Mapping[str, Any]:
        return {"name": self._name}

    def judge(self, requests: Any) -> list[Judgement]:
        usage = Usage(calls=1, prompt_tokens=10, money=self._money)
        return [replace(judged, usage=usage) for judged in super().judge(requests)]


def test_the_members_of_a_specification() -> None:
    text = (
        "panel:of=inspector|lager:preset=e-score|[prompt:model=m,base_url=http://h/v1]"
        "|[panel:of=a|[b:x=1,y=2],rule=median],rule=mean,min_valid=2"
    )
    spec = JudgeSpec.parse(text)
    assert {name: spec.options[name] for name in spec.options if name != "of"} == {
        "rule": "mean",
        "min_valid": "2",
    }
    assert [str(member) for member in spec.members] == [
        "inspector",
        "lager:preset=e-score",
        "prompt:model=m,base_url=http://h/v1",
        "panel:of=a|[b:x=1,y=2],rule=median",
    ]
    assert [str(member) for member in spec.members[3].members] == ["a", "b:x=1,y=2"]
    assert str(spec) == text


def test_brackets_mean_nothing_elsewhere() -> None:
    text = 'prompt:model=[m,extra_body={"stop": ["]"]},labels=binary'
    assert JudgeSpec.parse(text).options == {
        "model": "[m",
        "extra_body": '{"stop": ["]"]}',
        "labels": "binary",
    }


@pytest.mark.parametrize(
    ("rule", "answers", "expected", "label"),
    [
        ("mean", (2, 3, 5), 10 / 3, 3),
        ("median", (1, 2, 5), 2, 2),
        ("median", (1, 2, 4, 5), 3, 3),
        ("majority", (5, 2, 2), 2, 2),
        ("majority", (1, 5, 5, 1, 3), 1, 1),  # a tie, equally near to the mean of 3: the lower
        ("majority", (1, 5, 5, 1, 4), 5, 5),  # a tie: 5 is nearer to the mean of 3.2
    ],
)
def test_rules(rule: str, answers: tuple[float, ...], expected: float, label: int) -> None:
    found = score(panel(*answers, rule=rule))
    assert found.score == pytest.approx(expected, abs=1e-4)
    assert found.label == label


def test_the_majority_has_the_shares_of_the_votes() -> None:
    found = score(panel(5, 2, 2, rule="majority"))
    assert found.probabilities == pytest.approx({1: 0, 2: 2 / 3, 3: 0, 4: 0, 5: 1 / 3}, abs=1e-4)


def test_probabilities_are_averaged_where_all_have_them() -> None:
    one = expected_score([0.1, 0.2, 0.3, 0.4, 0.0], MULTICLASS)  # 3.0
    other = expected_score([0.5, 0.0, 0.5, 0.0, 0.0], MULTICLASS)  # 2.0
    found = score(panel(one, other))
    assert found.score == pytest.approx(2.5)
    assert found.probabilities == pytest.approx({1: 0.3, 2: 0.1, 3: 0.4, 4: 0.2, 5: 0})
    assert found.label == 3
    assert score(panel(one, 2)).probabilities is None
    weighted = score(panel(one, other, rule="weighted", weights="3|1"))
    assert weighted.score == pytest.approx(2.75)
    assert weighted.probabilities == pytest.approx({1: 0.2, 2: 0.15, 3: 0.35, 4: 0.3, 5: 0})


def test_weights_of_measured_agreement(tmp_path: Path) -> None:
    figures = {
        "a": {"fluency": 0.6, "overall": 0.9},
        "b": {"fluency": 0.2, "overall": 0.1},
        "c": {"fluency": -0.3, "overall": 0.1},
    }
    content = [
        {
            "judge": name,
            "criteria": {key: {"quadratic_kappa": {"value": v}} for key, v in each.items()},
        }
        for name, each in figures.items()
    ]
    file = tmp_path / "agreement.json"
    file.write_text(json.dumps({"agreement": content}))
    judge = panel(5, 1, 1, rule="weighted", weights=str(file))
    assert score(judge).score == pytest.approx(0.75 * 5 + 0.25 * 1)  # c is below chance
    logicality = replace(REQUEST, criteria=("logicality",))
    assert score(judge, logicality).score == pytest.approx((0.9 * 5 + 0.1 + 0.1) / 1.1, abs=1e-4)
    file.write_text(json.dumps({"a": 1, "b": {"fluency": 3}, "c": 0}))
    judge = panel(5, 1, 1, rule="weighted", weights=str(file))
    assert score(judge).score == pytest.approx(2)
    assert score(judge, logicality).reason == "there is no weight of b on logicality"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_valid": 3}, r"'min_valid' must be from 1 to 2, the number of members, not 3"),
        ({"min_valid": 0}, r"'min_valid' must be from 1 to 2, the number of members, not 0"),
        ({"rule": "weighted"}, "rule=weighted needs weights="),
        ({"weights": "1|2"}, "'weights' is for rule=weighted, not mean"),
        ({"rule": "weighted", "weights": "1|2|3"}, r"3 numbers for 2 members \(a, b\)"),
        ({"rule": "weighted", "weights": "1|-2"}, "weight of b .* must be a number from 0 to 1,"),
        ({"rule": "weighted", "weights": "nan|1"}, "weight of a .* must be a number from 0 to 1,"),
        ({"rule": "weighted", "weights": "1e308|1e308"}, "weight of a .* 1,000,000,000, not 1e"),
        ({"rule": "weighted", "weights": "0|0"}, "All weights are 0"),
        ({"rule": "weighted", "weights": "no-file"}, "Cannot read the weights no-file"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InspectorError, match=message):
        panel(1, 2, **options)


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"a": 1, "b": "x"}', '{"agreement": [1]}'])
def test_files_of_weights_that_cannot_be_used(tmp_path: Path, content: str) -> None:
    file = tmp_path / "weights.json"
    file.write_text(content)
    with pytest.raises(InspectorError, match=str(file)) as caught:
        panel(1, 2, rule="weighted", weights=str(file))
    assert "\n" not in str(caught.value)


def test_a_weight_in_a_file_that_no_number_format_holds(tmp_path: Path) -> None:
    file = tmp_path / "weights.json"
    file.write_text('{"a": 1, "b": 1' + "0" * 400 + "}")
    with pytest.raises(InspectorError, match=r"weight of b .* must be a number from 0 to 1,"):
        panel(1, 2, rule="weighted", weights=str(file))


def test_what_the_members_said_is_kept() -> None:
    judge = panel(CriterionScore(2.0, 2, flags=("truncated",), explanation="why"), 5)
    judged = judge_all(judge, [REQUEST])[0]
    found = judged.scores["fluency"]
    assert found.members is not None
    assert found.members["a"].explanation == "why"
    assert found.members["b"].score == 5
    assert found.spread == 3
    assert found.flags == ("truncated",)
    row = judged.to_json()
    assert row["scores"]["fluency"]["spread"] == 3
    assert Judgement.from_json(json.loads(json.dumps(row))) == judged


def test_show_names_what_the_members_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = judge_all(panel(2, "no", 5), [REQUEST])[0]
    row = {"question": "q", "response": "r", "judgements": {"panel": judged.to_json()}}
    file = tmp_path / "judged.jsonl"
    file.write_text(json.dumps(row) + "\n")
    assert main(["show", str(file)]) == 0
    assert "fluency, by member: a 2.00, b -, c 5.00\n\n" in capsys.readouterr().out
    assert main(["show", str(file), "--row", "2"]) == 1
    assert "holds 1 judged response; --row 2" in capsys.readouterr().err


def test_a_member_without_a_score_does_not_count() -> None:
    found = score(panel(2, 4, "too long"))
    assert (found.score, found.flags) == (3, ("member-missing",))
    assert found.members is not None
    assert found.members["c"].reason == "too long"
    found = score(panel(2, "no", "too long"))
    assert found.reason == "1 of 3 members gave a score, 2 must (b: no; c: too long)"
    assert found.members is not None
    assert score(panel(2, "no", "too long", min_valid=1)).score == 2


def test_a_member_that_raises_ends_the_run_by_its_name() -> None:
    members = {"good": ScriptedJudge(lambda r, k: 3), "bad": ScriptedJudge([], fail_at_call=1)}
    with pytest.raises(JudgeError, match="scripted judge fails at call 1"):
        score(PanelJudge(members, PanelOptions()))

    class Broken(Judge):
        def judge(self, requests: Any) -> Any:
            raise ZeroDivisionError("oops")

    members = {"good": ScriptedJudge(lambda r, k: 3), "bad": Broken()}
    with pytest.raises(JudgeError, match=r"Judge 'bad' failed in judge\(\): ZeroDivisionError"):
        score(PanelJudge(members, PanelOptions()))


def test_members_on_different_scales() -> None:
    def members() -> dict[str, Judge]:
        return {
            "low-high": ScriptedJudge(lambda r, k: 1, scale=BINARY),
            "fives": ScriptedJudge(lambda r, k: 2),
        }

    with pytest.raises(OptionError, match=r"low-high on 0-1, fives on 1-5.*labels=binary"):
        PanelJudge(members(), PanelOptions())
    judge = PanelJudge(members(), PanelOptions(labels="binary"))
    found = score(judge)
    assert (found.score, found.scale, found.spread) == (0.5, BINARY, 1)


def test_criteria_that_members_cannot_judge() -> None:
    fives = ScriptedJudge(lambda r, k: 4)  # on 1-5 alone
    own = ScriptedJudge(lambda r, k: 6, scale=None)
    request = replace(REQUEST, criteria=(CARE,))
    found = score(PanelJudge({"fives": fives, "own": own}, PanelOptions()), request)
    assert found.reason == (
        "1 of 2 members can judge this, 2 must (fives: this judge scores on 1-5, not on 1-7)"
    )
    assert fives.calls == own.calls == []
    found = score(PanelJudge({"fives": fives, "own": own}, PanelOptions(min_valid=1)), request)
    assert (found.score, found.flags) == (6, ("member-missing",))
    binary = ScriptedJudge(lambda r, k: 1, scale=BINARY)
    request = replace(REQUEST, criteria=(CARE,))
    mixed = PanelJudge({"own": own, "binary": binary}, PanelOptions())
    assert "own on 1-7, binary on 0-1" in str(score(mixed, request).reason)


def test_members_that_read_rubrics_judge_them() -> None:
    rubric = Criterion("rubric", items=(RubricItem("source", "The response names a source."),))
    reader = ScriptedJudge(lambda r, k: 4, scale=None)
    reader.rubric_form = "some form"
    other = ScriptedJudge(lambda r, k: 2)
    other.rubric_form = None
    request = replace(REQUEST, criteria=(rubric,))
    found = score(PanelJudge({"a": reader, "b": other}, PanelOptions(min_valid=1)), request)
    assert (found.score, other.calls) == (4, [])
    found = score(PanelJudge({"a": other, "b": other}, PanelOptions()), request)
    assert found.score is None
    assert PanelJudge({"a": reader, "b": other}, PanelOptions()).rubric_form != "some form"


def test_it_keeps_the_contract() -> None:
    def script(request: JudgeRequest, key: str) -> float:
        return 1.0 + (len(request.response) + len(key)) % 5

    members = {name: ScriptedJudge(script) for name in "ab"}
    check_judge(PanelJudge(members, PanelOptions()))
    assert all(member.closed for member in members.values())
    nested = PanelJudge(
        {"inner": panel(2, 4), "c": ScriptedJudge(script)}, PanelOptions(labels="binary")
    )
    check_judge(nested)


def test_members_get_blocks_of_requests() -> None:
    members = {name: ScriptedJudge(lambda r, k: 3) for name in "ab"}
    requests = [replace(REQUEST, response=f"{n}") for n in range(BLOCK + 1)]
    done: list[int] = []
    judge_all(
        PanelJudge(members, PanelOptions()),
        requests,
        on_judged=lambda start, judged: done.append(len(judged)),
    )
    assert done == [BLOCK, 1]
    assert sum(map(len, members["a"].calls)) == len(requests)


def test_costs_add_up_and_judgements_are_reused(tmp_path: Path) -> None:
    members = {"a": Described(lambda r, k: 2, "a", 0.25), "b": Described(lambda r, k: 4, "b", 0.5)}
    judge = PanelJudge(members, PanelOptions())
    with JudgeCache(tmp_path / "cache") as cache:
        first = judge_all(judge, [REQUEST], cache=cache)[0]
        again = judge_all(judge, [REQUEST], cache=cache)[0]
        other = PanelJudge(members, PanelOptions(rule="median"))
        judge_all(other, [REQUEST], cache=cache)
    assert first.usage == Usage(calls=2, prompt_tokens=20, money=0.75)
    assert again == replace(first, usage=Usage(reused=1))
    assert len(members["a"].calls) == 2  # another rule is another judge


def test_a_transient_failure_of_a_member_is_asked_again(tmp_path: Path) -> None:
    answers = iter([unscored("no connection", transient=True), 5])
    members = {
        "a": Described(lambda r, k: 3, "a"),
        "b": Described(lambda r, k: next(answers), "b"),
    }
    judge = PanelJudge(members, PanelOptions(min_valid=1))
    with JudgeCache(tmp_path / "cache") as cache:
        first = judge_all(judge, [REQUEST], cache=cache)[0].scores["fluency"]
        again = judge_all(judge, [REQUEST], cache=cache)[0].scores["fluency"]
    assert (first.score, first.transient) == (3, True)
    assert (again.score, again.transient) == (4, False)


def test_a_member_that_does_not_describe_itself_keeps_the_panel_from_the_cache() -> None:
    assert panel(1, 2).describe() == {}


def test_members_come_from_the_registry(
    use_judges: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {name: ScriptedJudge(lambda r, k, name=name: len(name)) for name in ("a", "bbb")}
    use_judges(a=lambda labels: made["a"], bbb=lambda labels: made["bbb"])
    with make_panel(PanelOptions(of="a|bbb")) as judge:
        assert score(judge).score == 2
    assert all(each.closed for each in made.values())
    made["a"].closed = False
    with pytest.raises(OptionError, match="nobody"):
        make_panel(PanelOptions(of="a|nobody"))
    assert made["a"].closed  # what was made is not left open


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("panel", "needs two members or more.*got none"),
        ("panel:of=recorded", "needs two members or more"),
        ("panel:of=a|[b:x=1,y=2", "bracket of a member is not closed"),
        ("panel:of=recorded|recorded", "given twice"),
        ("panel:of=recorded|", "names no judge"),
        ("panel:of=lager|inspector,layers=last", "Unknown option 'layers'"),
    ],
)
def test_specifications_that_cannot_be_used(spec: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        create_judge(spec)
    assert "\n" not in str(caught.value)


PLUGIN = """
class Fixed(Judge):
    def __init__(self, value):
        self.value = value
    def judge(self, requests):
        score = AspectScore(float(self.value), self.value)
        return [Judgement(dict.fromkeys(r.aspects, score)) for r in requests]
    def describe(self):
        return {"value": self.value}

@hookimpl
def register_judges(register):
    register(Backend("fixed", "one", lambda value: Fixed(value), (Option("value", "", int, 3),)))
"""


def test_a_panel_of_an_endpoint_and_a_plugin_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-test")
    (tmp_path / "site").mkdir()
    write_plugin(tmp_path / "site", "fixed-judge", PLUGIN)
    rows = [{"question": "How many?", "response": "x" * n} for n in range(1, 6)]
    rows_file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with plugin_folder(tmp_path / "site"), ChatServer(lambda body, number: Answer()) as server:
        member = f"[prompt:model=m,base_url={server.url},key_env=TEST_KEY]"
        spec = f"panel:of=fixed|{member}|[fixed:value=5],rule=median"
        command = ["score", str(rows_file), "--criteria", "fluency", "--judge", spec]
        assert main([*command, "--out", str(out)]) == 0
        assert len(server.calls) == 5
        assert main([*command, "--out", str(tmp_path / "again.jsonl")]) == 0
        assert len(server.calls) == 5  # from the judge cache
    written = [json.loads(line)["judgements"]["panel"] for line in out.read_text().splitlines()]
    scores = [each["scores"]["fluency"] for each in written]
    expected = [sorted((3, score_of(row["response"]), 5))[1] for row in rows]
    assert [each["score"] for each in scores] == expected
    assert all(each["usage"]["calls"] == 1 for each in written)
    assert next(iter(scores[0]["members"])) == "fixed"
    schema = json.loads(
        (Path(__file__).parent.parent / "docs/schemas/judgement.schema.json").read_text()
    )
    jsonschema = pytest.importorskip("jsonschema")
    for line in out.read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)


def test_a_file_that_a_member_reads_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, rows = tmp_path / "scores.jsonl", tmp_path / "in.jsonl"
    for file in (scores, rows):
        file.write_text(json.dumps({"question": "q", "response": "r"}) + "\n")
    spec = f"panel:of=lager|recorded:path={scores}"
    assert main(["score", str(rows), "--judge", spec, "--out", str(scores)]) == 1
    assert "--out" in capsys.readouterr().err

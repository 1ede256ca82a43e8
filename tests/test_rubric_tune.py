"""`inspector rubric tune`: rewards and pairs by hand, and the whole run on a tiny random model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, judgement, response_of
from conftest import UseJudges
from endpoint_judges import Serve

pytest.importorskip("trl", reason="needs inspector_plugin[tune]")
pytest.importorskip("peft", reason="needs inspector_plugin[tune]")

from inspector_plugin.cli.main import main
from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.errors import DataError, ModelError
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.lora_plan import LoraSettings
from inspector_plugin.rubrics import sampling, tune
from inspector_plugin.rubrics.candidates import (
    Candidate,
    NoRubric,
    parse_items,
    read_candidate,
    write_items,
)
from inspector_plugin.rubrics.rewards import (
    META_CRITERIA,
    Reward,
    best_against_worst,
    best_of,
    length_matched,
    rewards_by_labels,
    rewards_by_meta_judge,
)
from inspector_plugin.rubrics.sampling import Draw, chat_for
from inspector_plugin.rubrics.tune import TuningPlan
from inspector_plugin.rubrics.tuning_card import problems_of_adapter
from inspector_plugin.schema import JudgeRequest
from inspector_plugin.testing import ScriptedJudge

# Whoever goes by the first prefers the response with "jars"; by the second, the other one.
RIGHT = "- The response counts jars.\n- The response says it."
WRONG = "- The response counts rows.\n- The response says it."
PROSE = "A good response is good."
SMALL = LoraSettings(rank=4, alpha=8, epochs=2, learning_rate=1e-2, batch_size=2)


class RubricJudge(ScriptedJudge):
    """Scores responses by a rubric as it is told, whatever the items."""

    rubric_form = "scripted"


def problem(number: int, labels: tuple[float | None, ...] = (1, 0)) -> LabelledProblem:
    question = f"Question number {number}?"
    texts = ("29 jars are left.", "36 rows are left.", "29 jars of 36 rows are left.")
    return LabelledProblem(
        problem_identity(question), str(number), question, texts[: len(labels)], labels
    )


def rule(request: JudgeRequest, key: str) -> float:
    wanted = "jars" if "jars" in request.criteria[0].items[0].text else "rows"
    other = {"jars": "rows", "rows": "jars"}[wanted]
    return 1 + 2 * (wanted in request.response) + 2 * (other not in request.response)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (RIGHT, [("The response counts jars.", "rule"), ("The response says it.", "rule")]),
        (
            "Here it is:\n1. The response is short.\n2) PITFALL: The response rambles on.\nEnd.",
            [("The response is short.", "rule"), ("The response rambles on.", "pitfall")],
        ),
        (
            '```json\n{"items": [{"text": "The response is short.", "kind": "principle"}, '
            '"The response has units."]}\n```',
            [("The response is short.", "principle"), ("The response has units.", "rule")],
        ),
    ],
)
def test_lists_and_json_are_read(text: str, items: list[tuple[str, str]]) -> None:
    read = parse_items(text)
    assert [(item.text, item.kind) for item in read] == items
    assert parse_items(write_items(read)) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROSE, "0 statements"),
        ("- The response is short.\n- The response, is SHORT", "1 statements"),
        ("", "0 statements"),
        ('{"items": 3}', "no list of items"),
        ('{"items": [', "cannot be read"),
        ('[{"kind": "rule"}]', "no text"),
        ("\n".join(f"- The response is number {n}." for n in range(70)), "70 statements"),
    ],
)
def test_what_is_no_rubric_says_why(text: str, message: str) -> None:
    with pytest.raises(NoRubric, match=message):
        parse_items(text)
    assert read_candidate(text).criterion is None


def test_a_reward_is_the_accuracy_of_the_order_that_the_rubric_gives() -> None:
    candidates = [read_candidate(text) for text in (RIGHT, WRONG, PROSE)]
    judge = RubricJudge(rule, scale=None)
    [rewards] = rewards_by_labels([problem(0)], [candidates], judge)
    assert [each.value for each in rewards] == [1.0, 0.0, None]
    # 5 against 1, of a scale that is 4 wide.
    assert [each.margin for each in rewards[:2]] == [1.0, -1.0]
    assert rewards[2].reason == "0 statements in a list; a rubric has at least 2"
    assert best_of(rewards) == 0
    # Two responses under each of two rubrics.
    assert sum(map(len, judge.calls)) == 4


def test_with_more_than_two_responses_it_is_the_rank_correlation() -> None:
    candidates = [read_candidate(text) for text in (RIGHT, WRONG)]
    judge = RubricJudge(rule, scale=None)
    [rewards] = rewards_by_labels([problem(0, (3, 1, 2))], [candidates], judge)
    # Scores 5, 1, 3 and 1, 5, 3 against labels 3, 1, 2: correlations 1 and -1.
    assert [each.value for each in rewards] == pytest.approx([1.0, 0.0])


def test_a_constant_judge_gives_chance_and_an_unscored_response_no_reward() -> None:
    candidates = [[read_candidate(RIGHT)]]
    [[even]] = rewards_by_labels(
        [problem(0)], candidates, RubricJudge(lambda request, key: 3, scale=None)
    )
    assert (even.value, even.margin) == (0.5, 0.0)
    [[none]] = rewards_by_labels(
        [problem(0)], candidates, RubricJudge(lambda request, key: "too hard", scale=None)
    )
    assert (none.value, none.reason) == (None, "too hard")


def test_a_meta_judges_reward_is_its_mean_score_as_a_share_of_the_scale() -> None:
    scores = dict(zip((each.key for each in META_CRITERIA), (5, 4, 3, 2), strict=True))
    judge = RubricJudge(lambda request, key: scores[key], scale=None)
    candidates = [[read_candidate(RIGHT), read_candidate(PROSE)]]
    [[reward, none]] = rewards_by_meta_judge([problem(0, (None, None))], candidates, judge)
    assert reward.value == pytest.approx((1 + 0.75 + 0.5 + 0.25) / 4)
    assert none.value is None
    [request] = judge.calls[0]
    assert request.response == RIGHT


def candidate(length: int) -> Candidate:
    return Candidate("x" * length, read_candidate(RIGHT).items)


@pytest.mark.parametrize(
    ("lengths", "values", "chosen"),
    [
        ((100, 100, 100), (0.2, 0.9, 0.5), (1, 0)),
        # The best is twice as long as the worst, which the one in the middle is not.
        ((100, 200, 140), (0.2, 0.9, 0.5), (1, 2)),
        ((100, 200), (0.2, 0.9), None),
        ((100, 100), (0.5, 0.5), None),
        ((100, 100), (None, 0.5), None),
    ],
)
def test_best_against_worst_are_of_similar_length(
    lengths: Sequence[int], values: Sequence[float | None], chosen: tuple[int, int] | None
) -> None:
    rewards = [Reward(value, reason="none" if value is None else None) for value in values]
    assert best_against_worst([candidate(length) for length in lengths], rewards) == chosen


def test_margins_decide_between_equal_rewards() -> None:
    rewards = [Reward(1.0, 0.1), Reward(1.0, 0.4), Reward(0.0, -0.1), Reward(0.0, -0.4)]
    assert best_of(rewards) == 1
    assert best_against_worst([candidate(100)] * 4, rewards) == (1, 3)


def test_the_better_response_is_longer_as_often_as_shorter() -> None:
    def of(better: str, worse: str, number: int) -> LabelledProblem:
        return LabelledProblem(str(number), "", "q", (better, worse), (1.0, 0.0))

    longer = [of("long one", "short", number) for number in range(5)]
    shorter = [of("short", "long one", number) for number in range(5, 7)]
    same = [of("same", "size", 7)]
    kept, said = length_matched([*longer, *shorter, *same], seed=0)
    sides = Counter(len(each.responses[0]) - len(each.responses[1]) for each in kept)
    assert sides == {3: 2, -3: 2, 0: 1}
    assert said == "3 of 8 problems left out, so that the better response is not mostly longer"
    assert length_matched(longer, seed=0) == (
        longer,
        "lengths cannot be matched: the better response is longer in every problem",
    )
    assert length_matched([*longer[:2], *shorter], seed=0)[1] is None


def test_the_order_in_which_responses_are_shown_says_nothing_of_their_labels() -> None:
    firsts = Counter()
    for number in range(40):
        chat = chat_for(problem(number), shown=True)
        text = chat[-1]["content"]
        firsts[text.index("29 jars") < text.index("36 rows")] += 1
        assert chat == chat_for(problem(number, (0, 1)), shown=True)
    assert min(firsts.values()) > 10
    assert "29 jars" not in chat_for(problem(0), shown=False)[-1]["content"]


# What is drawn for each problem: one that is learnt from, one with a single rubric, one with no
# difference.
DRAWN = {
    "0": [RIGHT, WRONG, PROSE],
    "1": [PROSE, RIGHT, PROSE],
    "2": [RIGHT, RIGHT + " ", RIGHT],
    "3": [WRONG, RIGHT, WRONG],
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Draw what is written above; return the problems at which batches began."""
    batches: list[int] = []

    def draw(language_model: Any, prompts: Any, how: Draw, first: int) -> list[list[str]]:
        batches.append(first)
        return [DRAWN[str(first + place)] for place in range(len(prompts))]

    monkeypatch.setattr(sampling, "_draw", draw)
    return batches


def plan(tiny_lm: Path, **changes: Any) -> TuningPlan:
    given: dict[str, Any] = {
        "draw": Draw(candidates=3, max_tokens=64),
        "supervised": SMALL,
        "preference": SMALL,
    }
    return TuningPlan(str(tiny_lm), **(given | changes))


def test_a_run_trains_on_the_best_then_on_best_against_worst_and_counts_the_rest(
    tiny_lm: Path, tmp_path: Path, drawn: list[int]
) -> None:
    problems = [problem(number) for number in range(4)]
    out = tmp_path / "tuned"
    judge = RubricJudge(rule, scale=None)
    tuned = tune.tune(problems, plan(tiny_lm), judge, out)
    assert [stage.name for stage in tuned.stages] == ["supervised", "round 1", "round 2"]
    start, *rounds = tuned.stages
    # Problem 1 has one valid rubric of three; 2 + 1 + 3 + 3 are valid.
    assert (start.problems, start.candidates, start.valid, start.dropped) == (4, 12, 9, 1)
    # Supervised: the best of problems 0, 2 and 3. DPO: problem 2 has no worse rubric.
    assert start.training is not None
    assert (start.training.examples, start.unused) == (3, 0)
    # Rewards 1, 0; 1; 1, 1, 1; 0, 1, 0.
    assert start.mean_reward == pytest.approx(6 / 9)
    for stage in rounds:
        assert stage.training is not None
        assert (stage.training.objective, stage.training.examples) == ("preference", 2)
        assert (stage.dropped, stage.unused) == (1, 1)
    assert start.training.losses[-1] < start.training.losses[0]
    card = json.loads((out / "card.json").read_text())
    assert card["problems"] == sorted(each.problem for each in problems)
    assert problems_of_adapter(out) == {each.problem for each in problems}
    assert [stage["dropped"] for stage in card["stages"]] == [1, 1, 1]
    assert card["made_by"]["plan"]["rounds"] == 2
    assert "| round 2 | 4 | 9 of 12 | 1 | 1 |" in (out / "README.md").read_text()
    base, adapter = load_language_model(str(tiny_lm)), load_language_model(str(out))
    assert adapter.fingerprint != base.fingerprint
    suffixes = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".jsonl", ".safetensors", ".md"}


def test_a_run_that_was_interrupted_goes_on_after_the_last_finished_stage(
    tiny_lm: Path, tmp_path: Path, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, once = [problem(number) for number in range(4)], plan(tiny_lm, rounds=1)
    whole = tune.tune(problems, once, RubricJudge(rule, scale=None), tmp_path / "whole")
    assert drawn == [0, 1, 2, 3] * 2
    drawn.clear()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "tuned"
    with monkeypatch.context() as patched:
        patched.setattr(tune, "train_preference", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune.tune(problems, once, RubricJudge(rule, scale=None), out)
    assert drawn == [0, 1, 2, 3] * 2
    # The last line of the second draw is lost.
    path = out / "stages" / "round-1.candidates.jsonl"
    path.write_text(path.read_text()[:-20])
    drawn.clear()
    tuned = tune.tune(problems, once, RubricJudge(rule, scale=None), out)
    assert drawn == [3]
    assert tuned.stages == whole.stages
    weights = "adapter_model.safetensors"
    assert (out / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    drawn.clear()
    tune.tune(problems, once, RubricJudge(rule, scale=None), out)
    assert drawn == []


def test_an_output_of_another_run_is_refused(
    tiny_lm: Path, tmp_path: Path, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "train_supervised", interrupted)
    out, judge, made = tmp_path / "tuned", RubricJudge(rule, scale=None), plan(tiny_lm)
    with pytest.raises(KeyboardInterrupt):
        tune.tune([problem(0)], made, judge, out)
    with pytest.raises(DataError, match="comes from another run"):
        tune.tune([problem(0), problem(3)], made, judge, out)
    with pytest.raises(KeyboardInterrupt):
        tune.tune([problem(0), problem(3)], made, judge, out, overwrite=True)
    mine = tmp_path / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("keep me")
    with pytest.raises(DataError, match="is there already and no tuning"):
        tune.tune([problem(0)], made, judge, mine.parent, overwrite=True)
    assert mine.read_text() == "keep me"


def test_without_two_valid_rubrics_anywhere_there_is_nothing_to_tune_on(
    tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn is the tiny model's own: no rubrics."""
    judge = RubricJudge(rule, scale=None)
    with pytest.raises(ModelError, match="of 2 problems, 2 have fewer than 2 valid rubrics of 3"):
        tune.tune([problem(0), problem(1)], plan(tiny_lm), judge, tmp_path / "tuned")


def test_a_generator_without_room_for_the_prompts_is_refused(tiny_lm: Path, tmp_path: Path) -> None:
    long = plan(tiny_lm, draw=Draw(candidates=2, max_tokens=10**6))
    with pytest.raises(ModelError, match="too few for any of the prompts"):
        tune.tune([problem(0)], long, RubricJudge(rule, scale=None), tmp_path / "tuned")


def test_draws_follow_the_seed_and_differ_among_candidates(tiny_lm: Path) -> None:
    language_model = load_language_model(str(tiny_lm))
    _, prompts = sampling.encode_prompts(language_model, [problem(0)], True, 16)
    draws = [
        sampling._draw(language_model, prompts, Draw(3, max_tokens=16, seed=seed), 0)
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0][0])) == 3


@pytest.fixture
def use_here(monkeypatch: pytest.MonkeyPatch, use_judges: UseJudges) -> UseJudges:
    """Make judges known by name to the command."""

    def use(**factories: Any) -> Any:
        registry = use_judges(**factories)
        monkeypatch.setattr("inspector_plugin.cli.rubric_tune.make_registry", lambda: registry)
        return registry

    return use


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def data(tmp_path: Path, **fields: Any) -> Path:
    rows = [
        {"question": each.question, "responses": list(each.responses), **fields}
        for each in map(problem, range(4))
    ]
    return write(tmp_path / "data.jsonl", rows)


SMALL_RUN = ["--candidates", "3", "--rounds", "1", "--max-tokens", "64", "--rank", "4"]


def test_the_command_tunes_by_labels_and_prints_what_each_stage_did(
    tiny_lm: Path,
    tmp_path: Path,
    drawn: list[int],
    use_here: UseJudges,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    out = tmp_path / "tuned"
    command = ["rubric", "tune", str(data(tmp_path, preferred=0)), "--generator", str(tiny_lm)]
    assert main([*command, "--judge", "ruled", "--out", str(out), *SMALL_RUN]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    [row] = [line.split() for line in printed.splitlines() if line.startswith("round 1")]
    assert row[2:8] == ["4", "9/12", "1", "1", ".67", "2"]
    config = json.loads((out / "card.json").read_text())["made_by"]["plan"]
    assert (config["reward"], config["base"]) == ("labels", str(tiny_lm))


def test_without_labels_the_command_asks_the_meta_judge(
    tiny_lm: Path,
    tmp_path: Path,
    drawn: list[int],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return Answer(judgement(5 if "jars" in response_of(body) else 2))

    server = serve(answer)
    monkeypatch.setenv("TEST_KEY", "sk-0123456789")
    judge = f"prompt:model=m,base_url={server.url},key_env=TEST_KEY"
    out = tmp_path / "tuned"
    command = ["rubric", "tune", str(data(tmp_path)), "--generator", str(tiny_lm)]
    command[-1] = f"prompt:model={tiny_lm}"  # as `rubric generate` takes it
    assert main([*command, "--judge", judge, "--out", str(out), *SMALL_RUN]) == 0
    # Two different rubrics for problems 0 and 3, one for 1 and 2, on four criteria; round 1 draws
    # the same, which the judge cache knows.
    assert len(server.calls) == (2 + 1 + 1 + 2) * 4
    card = json.loads((out / "card.json").read_text())
    assert card["made_by"]["plan"]["reward"] == "meta-judge"
    assert card["stages"][1]["training"]["examples"] == 2


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({}, ["--reward", "labels"], "No problem has two responses whose labels differ"),
        ({"preferred": 0}, ["--generator", "/nowhere"], "no such file or folder"),
        ({"preferred": 0}, ["--out", "{folder}"], "holds an input"),
        ({"preferred": 0}, ["--concurrency", "3"], "none of the judges"),
        (
            {"preferred": 0},
            ["--generator", "prompt:model=m,base_url=http://127.0.0.1:1"],
            "whose weights can be read",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(
    tiny_lm: Path,
    tmp_path: Path,
    use_here: UseJudges,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
    arguments: list[str],
    message: str,
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    path = data(tmp_path, **fields)
    command = ["rubric", "tune", str(path), "--judge", "ruled", "--generator", str(tiny_lm)]
    given = [each.format(folder=path.parent) for each in arguments]
    assert main([*command, "--out", str(tmp_path / "o"), *SMALL_RUN, *given]) == 1
    assert message in capsys.readouterr().err

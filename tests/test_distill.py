"""`inspector distill` end to end: a reference on loopback whose scores follow a planted rule."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import Answer, ChatServer, Script, error, judgement, response_of
from distill_runs import (
    FLUENCY,
    GUESSED,
    LOGICALITY,
    PRICE,
    PRICES,
    TRAINING,
    by_lot,
    by_rule,
    mostly_by_rule,
    plan_of,
    read,
    responses,
    rows_of,
    rule,
    summary,
    write,
)

from inspector_plugin.agreement.bars import Bar
from inspector_plugin.cli.main import main, make_parser
from inspector_plugin.data.requests import RequestForm
from inspector_plugin.errors import DataError, JudgeError, ModelError, OptionError
from inspector_plugin.judges.inspector import figures as figures_of_probes
from inspector_plugin.judges.inspector.packs import read_card
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm import loading
from inspector_plugin.plugins.registry import JudgeRegistry, create_judge, make_registry
from inspector_plugin.report.distill import distill_document, verdict_words
from inspector_plugin.report.distill_figures import DistillFigures
from inspector_plugin.report.document import Document
from inspector_plugin.schema import MULTICLASS, CriterionScore, JudgeRequest
from inspector_plugin.schema.records import expected_score
from inspector_plugin.testing import ScriptedJudge
from inspector_plugin.workflows import distill_conclusion, distill_labels
from inspector_plugin.workflows.distill import distill, planned
from inspector_plugin.workflows.distill_choice import held_out_rows, read_candidates
from inspector_plugin.workflows.distill_doubts import guided

Run = Callable[..., DistillFigures]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path / "cache"))
    write("in.jsonl", responses())
    Path("prices.json").write_text(json.dumps(PRICES))
    return tmp_path


@pytest.fixture
def serve() -> Iterator[Callable[[Script], ChatServer]]:
    servers: list[ChatServer] = []

    def start(script: Script) -> ChatServer:
        servers.append(ChatServer(script).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the charts of the page out, which take longer than all the rest."""
    empty = Document("", [], [])
    monkeypatch.setattr(distill_conclusion, "build_report", lambda table, options: empty)


@pytest.fixture
def run(folder: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(figures_of_probes, "_CHANCE_DRAWS", 5)

    def distilled(server: ChatServer, overwrite: bool = False, **fields: Any) -> DistillFigures:
        plan = plan_of(server, tiny_lm, **fields)
        registry = make_registry()
        return distill(rows_of(plan), plan, registry, overwrite=overwrite, say=lambda line: None)

    return distilled


def test_the_distilled_judge_recovers_the_rule(
    run: Run, serve: Callable[[Script], ChatServer]
) -> None:
    server = serve(by_rule)
    figures = run(server)
    assert len(server.calls) == 90
    assert verdict_words(figures) == "Yes, the distilled judge may replace prompt on fluency."
    [found] = figures.found
    assert found.comparison is not None
    kappa = found.comparison.statistics["quadratic_kappa"]
    assert kappa is not None
    assert kappa.low is not None
    assert kappa.low > 0.6
    # The responses are all of one length but for the number and the model's name.
    assert (found.comparison.baselines["length only"]["quadratic_kappa"] or 0) < 0.4
    parts = {line["id"]: line["distill"]["part"] for line in read("out/labels.jsonl")}
    for line in read("out/labels.jsonl"):  # a problem is in one part alone
        assert parts[line["id"]] == line["distill"]["part"]
    assert len(read("out/held-out.jsonl")) == 36  # two fifths of 90
    assert set(read("out/held-out.jsonl")[0]["judgements"]) == {"prompt", "distilled"}
    # 30 rows are left.
    cost = summary()["cost"]
    assert cost["rows"] == 30
    assert cost["reference_alone"] == pytest.approx(30 * PRICE)
    assert (cost["as_planned"]["value"], cost["asked"]["value"]) == (0, 0)
    assert summary()["labels"]["spent"] == pytest.approx(90 * PRICE)

    # The specification that it writes judges new responses by the rule, calibrated.
    [to_use] = json.loads(Path("out/judges.json").read_text())
    assert (to_use["name"], to_use["criteria"]) == ("distilled judge", ["fluency"])
    new = responses(20, seed=5)
    requests = [RequestForm((FLUENCY,)).request(row, "here") for row in new]
    with create_judge(to_use["spec"]) as judge:
        judged = judge_all(judge, requests, progress=False)
    right = [
        j.scores["fluency"].label == rule(r["response"]) for j, r in zip(judged, new, strict=True)
    ]
    assert sum(right) > 0.5 * len(right)  # chance: .2
    [card] = [read_card(path.parent) for path in Path("out/probes").rglob("card.json")]
    entry = card["criteria"]["fluency"]
    assert entry["temperature"] != 1.0
    assert entry["calibration"]["ece"] <= entry["calibration_before"]["ece"]

    page = Path("out/report.html").read_text()
    assert page.index("may replace prompt on fluency") < page.index("Agreement with prompt")
    keys = [part.split('"')[0] for part in page.split('<section id="')[1:]]
    assert len(keys) == len(set(keys))
    assert "may replace prompt on fluency" in Path("out/summary.md").read_text()


@pytest.mark.usefixtures("without_page")
def test_a_reference_without_a_rule_is_not_replaced(
    run: Run, serve: Callable[[Script], ChatServer]
) -> None:
    figures = run(serve(by_lot))
    assert verdict_words(figures) == (
        "No, the distilled judge may not replace prompt on any criterion (fluency)."
    )
    assert (figures.cascades, figures.judges) == ({}, [])
    assert json.loads(Path("out/judges.json").read_text()) == []
    assert summary()["by_reference_alone"] == ["fluency"]
    assert summary()["cost"]["saved"] == 0
    assert summary()["cost"]["asked"]["value"] == 1


@pytest.mark.usefixtures("without_page")
def test_a_cascade_is_written_where_the_judge_alone_will_not_do(
    run: Run, serve: Callable[[Script], ChatServer]
) -> None:
    server = serve(mostly_by_rule)
    write("in.jsonl", responses(100))
    form = RequestForm(criteria=(FLUENCY, LOGICALITY))
    figures = run(server, form=form, labels=200)
    assert figures.routed("distilled judge") == ["fluency"]
    assert figures.routed("cascade") == ["logicality"]
    assert "In part. The distilled judge may replace prompt on fluency" in verdict_words(figures)
    asked = figures.cascades["logicality"].asked.value
    assert 0.05 < asked < 0.95
    assert figures.cost.asked.value == pytest.approx(asked / 2)  # of two criteria
    [alone, cascade] = figures.judges
    assert (alone.name, alone.criteria) == ("distilled judge", ["fluency"])
    assert (cascade.name, cascade.criteria) == ("cascade", ["logicality"])
    calls = len(server.calls)
    requests = [RequestForm((LOGICALITY,)).request(row, "here") for row in responses(20, seed=5)]
    with create_judge(cascade.spec) as judge:
        judged = judge_all(judge, requests, progress=False)
    flags = [flag for each in judged for flag in each.scores["logicality"].flags]
    assert 0 < flags.count("asked-unsure") == len(server.calls) - calls < len(requests)


@pytest.mark.usefixtures("without_page")
def test_binary_probes_where_labels_are_too_few_for_the_scale(
    run: Run, serve: Callable[[Script], ChatServer]
) -> None:
    """The score 1 is given to two problems alone."""
    rare = {row["response"] for row in responses() if row["id"] < 2}

    def script(body: dict[str, Any], number: int) -> Answer:
        response = response_of(body)
        return Answer(content=judgement(1 if response in rare else max(rule(response), 2)))

    figures = run(serve(script), labels=120, bars=(Bar("quadratic_kappa", 0.1),))
    assert figures.quality == "binary"
    assert figures.judges[0].spec.endswith("dataset=distilled,labels=binary")
    assert figures.found[0].comparison is not None
    assert figures.found[0].comparison.confusion is not None
    assert figures.found[0].comparison.confusion.shape == (2, 2)
    lead = distill_document(figures).sections[0].lead
    assert "The probes tell low from high quality only" in lead


@pytest.mark.usefixtures("without_page")
def test_an_interrupted_run_pays_for_nothing_twice(
    run: Run,
    serve: Callable[[Script], ChatServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve(by_rule)
    put, kept = distill_labels.PaidCache.put, 0

    def interrupted(self: Any, judge: Any, judgements: Any) -> None:
        nonlocal kept
        put(self, judge, judgements)
        kept += len(judgements)
        if kept >= 40:
            raise KeyboardInterrupt

    one_by_one = {"reference_options": {"concurrency": 1}}
    with monkeypatch.context() as patch:
        patch.setattr(distill_labels.PaidCache, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(server, **one_by_one)
    lost = len(server.calls) - kept
    assert lost <= 1  # the call that was under way
    figures = run(server, **one_by_one)
    assert len(server.calls) - lost == 90
    assert figures.labels.spent == pytest.approx(90 * PRICE)
    # A third call has nothing to do at all, nor to judge: the speed is the one measured before.
    before = Path("out/speed.json").read_text()
    loads: list[str] = []
    load = loading._load

    def counted(name: str, *given: Any) -> Any:
        loads.append(name)
        return load(name, *given)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "_loaded", weakref.WeakValueDictionary())
        patch.setattr(loading, "_load", counted)
        again = run(server, **one_by_one)
    assert len(loads) == 1  # once for all steps
    assert len(server.calls) - lost == 90
    assert Path("out/speed.json").read_text() == before
    assert verdict_words(again) == verdict_words(figures)
    # Another bar is another conclusion from the same labels.
    strict = run(server, bars=(Bar("accuracy", 0.999),), **one_by_one)
    assert len(server.calls) - lost == 90
    assert not strict.found[0].may_replace


@pytest.mark.usefixtures("without_page")
def test_the_budget_holds_over_all_calls(
    run: Run, serve: Callable[[Script], ChatServer], tiny_lm: Path
) -> None:
    """The estimate is some $.0006 a row, the true price $.00105."""
    server = serve(by_rule)
    plan = plan_of(server, tiny_lm, labels=None, max_cost=0.05)
    found = planned(rows_of(plan), plan, make_registry())
    assert len(server.calls) == 0
    assert not Path("out").exists()
    assert found.estimate.price is not None
    assert found.labels == int(0.95 * 0.05 / found.estimate.price)
    for _ in range(2):
        with pytest.raises(DataError, match=r"labels are missing .*max_cost.*a larger --max-cost"):
            run(server, labels=None, max_cost=0.05)
        assert len(server.calls) * PRICE <= 0.05
        assert 0.05 - len(server.calls) * PRICE < 0.005
    # With more money, the same rows are labelled to the end.
    figures = run(server, labels=None, max_cost=0.2)
    assert figures.labels.training + figures.labels.held_out == found.labels
    assert len(server.calls) == found.labels


def test_a_reference_that_fails_or_says_one_thing_ends_it(
    run: Run, serve: Callable[[Script], ChatServer]
) -> None:
    with pytest.raises(JudgeError, match="no such key"):
        run(serve(lambda body, number: Answer(status=401, body=error("no such key"))))
    with pytest.raises(DataError, match=r"54 of 54 labels are missing \(54 times: .* would not"):
        run(serve(lambda body, number: Answer(content="well")), labels=54, out=Path("mute"))
    with pytest.raises(
        DataError,
        match=r"No probe can be trained on the labels of prompt \(fluency \(multiclass\): the "
        r"reference gives all \d+ responses the score 4, so that there is nothing to learn",
    ):
        run(serve(lambda body, number: Answer(content=judgement(4))), out=Path("constant"))
    assert len(read("constant/labels.jsonl")) == 90  # what was paid for stays
    # Another reference is another run, which begins anew where it is told to, and only there.
    Path("constant/notes.txt").write_text("mine")
    other = serve(lambda body, number: Answer(content=judgement(2)))
    with pytest.raises(DataError, match=r"rows\.jsonl comes from another run \(other reference in"):
        run(other, out=Path("constant"))
    with pytest.raises(DataError, match="the score 2"):
        run(other, out=Path("constant"), overwrite=True)
    assert sorted(path.name for path in Path("constant").glob("[!.]*")) == [
        "choice.json",
        "labels.jsonl",
        "labels.jsonl.run.json",
        "notes.txt",
        "rows.jsonl",
        "rows.jsonl.run.json",
        "spending.jsonl",
        "training.jsonl",
    ]


def test_too_few_rows_are_refused_before_anything_is_paid(
    run: Run, serve: Callable[[Script], ChatServer]
) -> None:
    server = serve(by_rule)
    with pytest.raises(DataError, match=r"20 labels are too few: 8 to measure with and 12"):
        run(server, labels=20)
    with pytest.raises(OptionError, match=r"--max-cost 1e-05 is less than the estimate for one"):
        run(server, labels=None, max_cost=1e-5)
    with pytest.raises(ModelError, match="nowhere"):
        run(server, model="nowhere")
    with pytest.raises(OptionError, match="highest layer must be from 0 to 3"):
        run(server, training=replace(TRAINING, highest_layer=9))
    write("in.jsonl", responses(12))
    with pytest.raises(DataError, match=r"12 problems; holding 0\.4 of them back leaves 5 on one"):
        run(server)
    assert not server.calls


@pytest.mark.usefixtures("without_page")
def test_flags_reach_the_plan_and_a_bar_decides_the_exit_status(
    folder: Path,
    serve: Callable[[Script], ChatServer],
    tiny_lm: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = serve(by_lot)
    spec = f"prompt:model=m,base_url={server.url},prices=prices.json"
    command = ["distill", "in.jsonl", "--reference", spec, "--criteria", "fluency", "--out", "out"]
    small = ["--model", str(tiny_lm), "--cheap", "none", "--audit-rows", "3", "--jobs", "1"]
    small += ["--folds", "2", "--members", "1", "--layer-step", "4", "--poolings", "mean"]
    assert main([*command, "--labels", "60", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "60 of 120 rows would be labelled: 36 to train on, 24 on held-out problems." in said
    assert "Estimate, without the provider's prefix cache: $0." in said
    assert not server.calls
    assert not Path("out").exists()
    assert main([*command, *small, "--labels", "60", "--min", "accuracy=.99"]) == 1
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "No, the distilled judge may not replace prompt" in said
    assert "the lower end of the 95% interval of accuracy must be at" in " ".join(said.split())
    assert "Edits of 3 held-out responses:" in said
    assert "Sanity suite, 3 problems:" in said
    assert main([*command, *small, "--labels", "60", "--min", "accuracy=0"]) == 0
    capsys.readouterr()
    # What was asked for differently is another run.
    assert main([*command, *small, "--labels", "61"]) == 1
    assert "out/rows.jsonl comes from another run (other labels" in capsys.readouterr().err
    wrong = [
        ([], "Say how much to label"),
        (["--labels", "60", "--held-out", "1"], "--held-out must be above 0 and below 1"),
        (["--labels", "60", "--min", "auc=.5"], "there is no outcome here"),
        (["--labels", "60", "--cheap", "none", "--out", "in.jsonl"], "is a file; give a folder"),
        (["--labels", "60", "--out", "a,b"], "cannot hold , | [ or ]"),
    ]
    for flags, message in wrong:
        assert main([*command, *flags]) == 1
        assert message in capsys.readouterr().err
    assert len(server.calls) == 60


def test_no_audits_are_zero_rows_not_fewer(capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser(["distill"])
    command = ["distill", "in.jsonl", "--reference", "j", "--out", "out", "--audit-rows"]
    assert parser.parse_args([*command, "0"]).audit_rows == 0
    with pytest.raises(SystemExit):
        parser.parse_args([*command, "-1"])
    assert "argument --audit-rows: must be at least 0, not -1" in capsys.readouterr().err


def test_the_cheap_judge_says_what_it_is_unsure_of(
    folder: Path, tiny_lm: Path, use_judges: Callable[..., JudgeRegistry]
) -> None:
    """It is sure of responses that are checked throughout, and of no others."""

    def score(request: JudgeRequest, key: str) -> CriterionScore:
        confidence = 0.3 if GUESSED.strip() in request.response else 1.0
        return expected_score([*[(1 - confidence) / 4] * 4, confidence], MULTICLASS)

    registry = use_judges(
        cheap=lambda labels: ScriptedJudge(score),
        plain=lambda labels: ScriptedJudge(lambda request, key: CriterionScore(3.0, 3)),
    )
    with ChatServer() as server:
        plan = plan_of(server, tiny_lm, cheap="cheap")
    rows = rows_of(plan)
    candidates = read_candidates(rows)
    held_out = held_out_rows(candidates, 0.5, seed=0)
    doubts, said = guided(rows, plan, registry, candidates, held_out, 99)
    assert said == (
        "Of the rows to train on, those that cheap is unsure of had a higher chance; 60 were shown "
        "to it."
    )
    assert doubts is not None
    assert doubts.rows.tolist() == np.flatnonzero(~held_out).tolist()
    texts = [row.request.response for row in rows]
    for row, unsure in zip(doubts.rows.tolist(), doubts.unsure.tolist(), strict=True):
        assert unsure == pytest.approx(0.7 if GUESSED.strip() in texts[row] else 0)
    # Without probabilities there is nothing but doubt.
    plain, _ = guided(rows, replace(plan, cheap="plain"), registry, candidates, held_out, 99)
    assert plain is not None
    assert plain.unsure.tolist() == [1.0] * 60
    # A judge that was named has to be there; `auto` does without.
    with pytest.raises(OptionError, match="Unknown judge 'nobody'"):
        guided(rows, replace(plan, cheap="nobody"), registry, candidates, held_out, 99)
    none, said = guided(rows, replace(plan, cheap="auto"), registry, candidates, held_out, 99)
    assert none is None
    assert "No cheap judge guided the choice: Unknown judge 'inspector'" in said

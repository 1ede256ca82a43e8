"""What a report says: the figures, the responses it lists, what it hides, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_data import HOSTILE, write_run

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.cli.main import main
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable, read_score_table
from inspector_plugin.report import curves
from inspector_plugin.report.build import ReportOptions, build_report
from inspector_plugin.report.charts import Point, forest_plot
from inspector_plugin.report.document import Column, Document, Missing, Section, Table, written
from inspector_plugin.report.formats import as_csv, as_json, as_markdown
from inspector_plugin.report.html import as_html
from inspector_plugin.report.responses import differences, most_telling
from inspector_plugin.report.sections.verdicts import _beyond_chance
from inspector_plugin.schema import MULTICLASS, Scale

FEW = {"resamples": 20}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run.jsonl", 40)


def report(run: Path, **options: Any) -> Document:
    given = {"reference": "people", **FEW, **options}
    return build_report(read_score_table([run]), ReportOptions(**given))


def section(document: Document, key: str) -> Section:
    [found] = [each for each in document.sections if each.key == key]
    return found


def column(scores: list[float], confidence: list[float] | None = None, **other: Any) -> ScoreColumn:
    values = np.array(scores, dtype=np.float64)
    count = len(values)
    nothing = np.full(count, np.nan)
    made = ScoreColumn(
        judge="judge",
        key="fluency",
        scale=MULTICLASS,
        fingerprint=None,
        scores=values,
        labels=values,
        confidence=nothing if confidence is None else np.array(confidence, dtype=np.float64),
        asked=np.ones(count, dtype=np.bool_),
        reasons=(),
        reason_codes=np.full(count, -1, dtype=np.int32),
        flag_sets=((),),
        flag_codes=np.zeros(count, dtype=np.int32),
        fingerprints=(),
        fingerprint_codes=np.full(count, -1, dtype=np.int32),
    )
    return replace(made, **other)


def test_reliability_and_calibration_error_by_hand() -> None:
    # Ten labels at .65, five of them right; five at .95, all right.
    judge = column([1] * 10 + [2] * 5, [0.65] * 10 + [0.95] * 5)
    reference = column([1] * 5 + [3] * 5 + [2] * 5)
    found = curves.reliability(judge, reference)
    assert isinstance(found, curves.Reliability)
    assert found.confidence.tolist() == pytest.approx([0.65, 0.95])
    assert found.agreement.tolist() == pytest.approx([0.5, 1.0])
    assert found.error == pytest.approx((10 * 0.15 + 5 * 0.05) / 15)
    # Wilson's interval of 5 out of 10 at 95%: [.2366, .7634] (Brown, Cai and DasGupta 2001).
    assert (found.low[0], found.high[0]) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert curves.reliability(column([1] * 15), reference) == "the judge gives no probabilities"
    binary = column([1] * 15, [0.5] * 15, scale=Scale((0, 1)))
    assert curves.reliability(binary, reference) == "the scales differ (0-1 and 1-5)"


def test_the_coverage_curve_ends_at_the_coverage() -> None:
    # The surest ten are right, the others wrong; five more have no score.
    scores = [1.0] * 10 + [2.0] * 10 + [np.nan] * 5
    judge = column(scores, [0.9] * 10 + [0.3] * 10 + [np.nan] * 5)
    found = curves.coverage_curve(judge, column([1.0] * 25))
    assert found is not None
    coverage, agreement = found
    assert coverage[-1] == pytest.approx(20 / 25)
    assert agreement[-1] == pytest.approx(0.5)
    assert agreement[coverage <= 10 / 25] == pytest.approx(1.0)


def test_the_mean_of_clusters_by_hand() -> None:
    # Three problems of two responses: sums of deviations -2, 0, 2 around the mean 3.
    found = curves.clustered_mean(
        np.array([2.0, 2.0, 3.0, 3.0, 4.0, 4.0, np.nan]), np.array([7, 7, 8, 8, 9, 9, 9])
    )
    assert found is not None
    assert found.value == 3
    error = np.sqrt(3 / 2 * (4 + 0 + 4)) / 6
    assert found.stderr == pytest.approx(error)
    assert found.high == pytest.approx(3 + 1.959964 * error)
    assert curves.clustered_mean(np.array([np.nan]), np.array([0])) is None
    assert curves.clustered_mean(np.array([1.0, 2.0]), np.array([0, 0])) == Estimate(1.5)


def test_the_most_telling_responses_come_first(run: Path) -> None:
    table = read_score_table([run])
    order = most_telling(table, "people", 40)
    apart = np.max(list(differences(table, "people").values()), axis=0)
    assert order[0] == 0
    assert apart[0] == 1  # people gave 1, a judge 5
    assert [apart[row] for row in order] == sorted(apart, reverse=True)
    alone = replace(
        table, columns={n: c for n, c in table.columns.items() if n == ("cheap", "fluency")}
    )
    assert most_telling(alone, None, 1) == [4]  # nothing to compare: what is unscored


def test_every_section_is_there_or_says_why_not(run: Path, tmp_path: Path) -> None:
    document = report(run)
    absent = {each.key: each.absent for each in document.sections if each.absent}
    assert set(absent) == {"corrected"}
    assert "people has scored none of the judges' responses, or all" in str(absent["corrected"])
    lonely = write_run(tmp_path / "lonely.jsonl", 4, model="only-one")
    document = report(lonely, reference=None)
    absent = {each.key: each.absent for each in document.sections if each.absent}
    assert "name one with --reference" in str(absent["agreement"])
    assert "all are by only-one" in str(absent["ranking"])
    assert {"confusion", "reliability", "coverage", "length"} <= set(absent)
    assert "Not shown" in as_html(document)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.4, "Yes: rank correlation with the reference .27 [.10, .40]."),
        (-0.1, 0.4, "Not certain: rank correlation with the reference .27 [-.10, .40], which may"),
        (None, None, "Too little to tell: rank correlation"),
    ],
)
def test_a_verdict_goes_by_the_interval(low: float, high: float, said: str) -> None:
    assert _beyond_chance({"spearman": Estimate(0.27, low, high)}).startswith(said)


def test_provenance_names_files_judges_cost_flags_and_reasons(run: Path) -> None:
    made_by = {
        "inspector_plugin": "9.9",
        "input_sha256": "ab" * 32,
        "criteria": [{"key": "fluency", "definition": "It reads <well>."}],
        "judges": {"cheap": {"spec": "cheap:model=m", "made_of": {"model": {"sha256": "cd" * 32}}}},
    }
    Path(f"{run}.run.json").write_text(json.dumps(made_by), encoding="utf-8")
    found = {table.title: table for table in section(report(run), "judged").tables}
    assert found["Files"].rows[0][3] == "9.9"
    judges = {row[0]: row for row in found["Judges"].rows}
    assert judges["cheap"][1] == "cheap:model=m"
    assert judges["noisy"][5] == "$0.0400"
    assert ["cheap", "model.sha256", "cd" * 32] in [
        list(r) for r in found["What judges are made of"].rows
    ]
    assert found["Criteria"].rows[1][1] == "It reads <well>."
    assert [list(row) for row in found["Unscored"].rows] == [["cheap", "the response is empty", 1]]
    assert found["Flags"].rows[0][:3] == ["noisy", "truncated", len(range(3, 40, 7))]


def test_explanations_of_another_file_are_shown(run: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in run.read_text("utf-8").splitlines()]
    people = tmp_path / "people.jsonl"
    with run.open("w", encoding="utf-8") as judged, people.open("w", encoding="utf-8") as said:
        for row in rows:
            theirs = {"people": row["judgements"].pop("people")}
            judged.write(json.dumps(row) + "\n")
            said.write(json.dumps({**row, "judgements": theirs}) + "\n")
    table = read_score_table([run, people])
    document = build_report(table, ReportOptions(reference="people", **FEW))
    [told] = [s for s in document.responses[0].scores if s.explanation is not None]
    assert (told.judge, told.key) == ("people", "logicality")
    assert told.explanation is not None
    assert told.explanation.text == "<b>people</b> gave 1"


def test_several_annotators_give_a_verdict(tmp_path: Path) -> None:
    rows = [
        json.loads(x) for x in write_run(tmp_path / "a.jsonl", 80).read_text("utf-8").splitlines()
    ]
    run = tmp_path / "b.jsonl"
    for row in rows:
        people = row["judgements"].pop("people")
        row["judgements"] |= dict.fromkeys(("ann", "ben", "cem"), people)
    run.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    document = report(run, reference=None, annotators=("ann", "ben", "cem"))
    answers = {(r[0], r[1]): str(r[2]) for r in section(document, "verdicts").tables[0].rows}
    assert answers["May it replace the annotators?", "noisy"].startswith("No: noisy wins against 0")
    compared = {row[1] for row in section(document, "agreement").tables[0].rows}
    assert compared == {"cheap", "noisy"}  # not the annotators with their own mean


def test_a_judge_that_has_seen_the_problems_is_not_praised(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run.jsonl", 40)
    text = run.read_text("utf-8").replace('"flags": ["truncated"]', '"flags": ["trained-on"]')
    run.write_text(text, encoding="utf-8")
    answers = {r[1]: str(r[2]) for r in section(report(run), "verdicts").tables[0].rows[:2]}
    assert answers["cheap"].startswith("Yes: rank correlation with the reference")
    assert answers["cheap"].endswith("].")
    # Six of its eighty scores.
    assert "But 8% of its scores are flagged trained-on" in answers["noisy"]


def test_what_lm_eval_says_of_the_judges_of_a_log(tmp_path: Path) -> None:
    cell = {"score": 4, "label": 4, "scale": [1, 2, 3, 4, 5]}
    judged = {"format_version": 2, "scores": {"fluency": cell}, "question": "SECRET q", "id": "7"}
    line = {
        "doc_id": 0,
        "doc": {},
        "resps": [["SECRET r"]],
        "filtered_resps": [json.dumps(judged)],
        "filter": "cheap",
    }
    folder = tmp_path / "some__model"
    folder.mkdir()
    (folder / "samples_my_task_2026-01-02T03-04-05.678.jsonl").write_text(json.dumps(line) + "\n")
    judges = {"cheap": {"spec": "cheap:a=b", "model": "small"}}
    metadata = {"inspector": {"judges": judges, "dataset": "gpqa", "criteria": []}}
    results = {"configs": {"my_task": {"metadata": metadata}}}
    (folder / "results_2026-01-02T03-04-05.678.json").write_text(json.dumps(results))
    out = tmp_path / "r.json"
    assert main(["report", str(folder), "--format", "json", "--out", str(out)]) == 0
    text = out.read_text("utf-8")
    tables = {t["title"]: t for s in json.loads(text)["sections"] for t in s["tables"]}
    assert tables["Judges"]["rows"][0][1] == "cheap:a=b"
    assert tables["What judges are made of"]["rows"] == [["cheap", "model", "small"]]
    assert json.loads(text)["responses"][0]["model"] == "some/model"
    assert "SECRET" not in text  # the task is on GPQA


@pytest.mark.parametrize(
    ("name", "fields", "shown"),
    [
        ("run.jsonl", {"dataset": "gpqa"}, False),
        ("gpqa_run.jsonl", {}, False),
        ("run.jsonl", {"dataset": "gsm8k"}, True),
    ],
)
def test_texts_of_gpqa_are_not_shown(
    tmp_path: Path, name: str, fields: dict[str, str], shown: bool
) -> None:
    run = write_run(tmp_path / name, 6, question="SECRET question", **fields)
    document = report(run)
    for text in (as_html(document), as_json(document)):
        assert ("SECRET" in text) == shown
        assert ("people</b> gave" in text or "people&lt;/b&gt; gave" in text) == shown
    assert "SECRET" not in as_markdown(document) + as_csv(document)
    assert document.responses[0].id == "p0"
    assert "SECRET question" in as_html(report(run, show_gpqa=True))


def test_long_texts_are_cut_at_four_kilobytes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run.jsonl", 1, response="é" * 5_000_000)
    document = report(run)
    cut = document.responses[0].response
    assert cut is not None
    assert len(cut.text.encode()) == 4096
    assert cut.length == 5_000_000
    page = as_html(document)
    assert "this is the beginning of 5,000,000 characters" in page
    assert len(page) < 200_000


def test_the_same_files_give_the_same_page_and_a_small_one(run: Path, tmp_path: Path) -> None:
    first, second = as_html(report(run)), as_html(report(run))
    assert first == second
    assert not re.search(r"20\d\d-\d\d-\d\dT", first)
    large = write_run(tmp_path / "large.jsonl", 510)
    document = report(large)
    texts = sum(len(r.response.text) for r in document.responses if r.response is not None)
    assert len(document.responses) == 500
    assert len(as_html(document)) - texts < 1_500_000
    assert len(report(large, responses=7).responses) == 7


def test_hostile_text_is_escaped_everywhere(run: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in run.read_text("utf-8").splitlines()]
    for row in rows:
        row["judgements"][HOSTILE] = row["judgements"].pop("cheap")
        row["model"] += HOSTILE
    run.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    document = report(run, title=HOSTILE)
    page = as_html(document)
    assert "<script>document" not in page
    assert "<img src=x" not in page
    assert page.count("<script>") == 1
    page.encode()  # no unpaired surrogate is left
    text = as_markdown(document)
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "$x\\_1\\$" in text


def test_names_with_dollars_and_unknown_letters_are_drawn() -> None:
    point = Point("a$x_1$ \u4e2d\U0001f600", "b\x1b[31m", Estimate(0.5, 0.4, 0.6))
    chart = forest_plot("Title <b>", "", [point], "label")
    assert "a$x_1$" in chart.svg
    assert "\x1b" not in chart.svg
    assert "style=" not in chart.svg  # the page's policy allows no style of its own
    assert "<b>" not in chart.svg
    assert "var(--series-0)" in chart.svg


def table_of(cell: Any) -> Document:
    made = Table("t", [Column("name"), Column("x", "share")], [["=1+1|*a*", cell]], "note")
    return Document("d", [("a", "b")], [Section("s", "S", parts=[made])])


def test_other_formats_hold_the_same_figures() -> None:
    document = table_of(Estimate(-0.004, -0.2, 1))
    assert written(Estimate(-0.004, -0.2, 1), "share") == ".00 [-.20, 1.00]"
    assert "| =1+1\\|\\*a\\* | .00 \\[-.20, 1.00\\] |" in as_markdown(document)
    [head, name, value] = csv.reader(io.StringIO(as_csv(document)))
    assert head == ["section", "table", "row", "column", "value", "low", "high", "reason"]
    assert name[4] == "'=1+1|*a*"  # a spreadsheet would take it for a formula
    assert value[4:] == ["-0.004", "-0.2", "1.0", ""]
    content = json.loads(as_json(document))
    assert content["sections"][0]["tables"][0]["rows"][0][1]["low"] == -0.2
    missing = table_of(Missing("too few"))
    assert "Not defined: too few" in as_markdown(missing)
    assert "Not defined: too few" in as_html(missing)
    assert json.loads(as_json(missing))["sections"][0]["tables"][0]["rows"][0][1] == {
        "value": None,
        "reason": "too few",
    }


def test_the_command_writes_all_formats(run: Path, tmp_path: Path, capsys: Any) -> None:
    write_run(run, 12)
    base = [
        "report",
        str(run),
        "--reference",
        "people",
        "--outcome",
        "exact_match",
        "--resamples",
        "9",
    ]
    for name in ("md", "csv", "json"):
        assert main([*base, "--format", name]) == 0
        assert "exact" in capsys.readouterr().out
    out = tmp_path / "r.html"
    assert main([*base, "--out", str(out)]) == 0
    assert "Do the scores tell exact_match?" in out.read_text("utf-8")
    assert main([*base, "--out", str(out)]) == 1
    assert "is there already; pass --overwrite" in capsys.readouterr().err
    assert main([*base, "--out", str(out), "--overwrite", "--rows", "3"]) == 0
    assert out.read_text("utf-8").count("<details") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out is missing"),
        (["--out", "RUN"], "is the input itself"),
        (["--out", "none/r.html"], "does not exist"),
        (["--out", "r.html", "--reference", "poeple"], "Did you mean 'people'?"),
        (["--out", "r.html", "--outcome", "nothing"], "No row has a number"),
        (["--out", "r.html", "--annotators", "people"], "one is not several"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(run) if each == "RUN" else each for each in arguments]
    assert main(["report", str(run), *given]) == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_models_of_plain_files_and_of_logs(tmp_path: Path) -> None:
    rows = [
        {k: v for k, v in json.loads(line).items() if k != "model"}
        for line in write_run(tmp_path / "x.jsonl", 30).read_text("utf-8").splitlines()
    ]
    files = []
    for name in ("a", "b"):
        file = tmp_path / f"{name}.jsonl"
        lines = [json.dumps({**row, "response": f"{row['response']} {name}"}) for row in rows]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files.append(f"model-{name}={file}")
    out = tmp_path / "r.json"
    base = ["report", "--format", "json", "--out", str(out), "--overwrite", "--resamples", "9"]
    assert main([*base, *files]) == 0
    assert json.loads(out.read_text("utf-8"))["facts"]["Models"] == "2"
    # Without a name, plain files are of no known model: they may hold the same one's responses.
    assert main([*base, *(file.partition("=")[2] for file in files)]) == 0
    assert "Models" not in json.loads(out.read_text("utf-8"))["facts"]


def test_an_empty_table_is_a_report(tmp_path: Path) -> None:
    table = read_score_table([write_run(tmp_path / "run.jsonl", 1)])
    empty: ScoreTable = replace(table, columns={}, judge_sources={})
    assert "Judged responses" in as_html(build_report(empty, ReportOptions(**FEW)))


def test_no_name_of_a_file_controls_a_terminal_or_the_direction_of_writing(tmp_path: Path) -> None:
    name = "x\x1b[31m\u202e"
    given = {"score": 3.0, "label": 3, "scale": [1, 2, 3, 4, 5], "flags": [name]}
    rows = [
        {
            "id": name,
            "question": name,
            "response": f"{name} {number}",
            "model": f"{name}{number % 2}",
            "judgements": {
                f"{name}{judge}": {"format_version": 2, "scores": {name: {**given, "score": judge}}}
                for judge in (2, 3)
            },
        }
        for number in range(4)
    ]
    file = tmp_path / "names.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = build_report(read_score_table([file]), ReportOptions(reference=f"{name}3", **FEW))
    for text in (as_html(found), as_markdown(found)):
        assert not {"\x1b", "\u202e"} & set(text)

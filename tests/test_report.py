"""The tables that people read: they fit 80 columns, and no key and no interval is broken."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from tiny_probes import write_pack

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import Agreement
from inspector_plugin.agreement.statistics import STATISTICS
from inspector_plugin.cli.main import main
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.packs import read_card
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.report.judge_figures import summarise_judge
from inspector_plugin.report.labels import label_table
from inspector_plugin.report.packs import pack_table
from inspector_plugin.report.summary import print_summaries
from inspector_plugin.report.tables import make_table, print_tables
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    ROSCOE,
    ROSCOE_KEYS,
    CriterionScore,
    Judgement,
    Scale,
    unscored,
)
from inspector_plugin.schema.correctness import CORRECTNESS

INTERVAL = re.compile(r"-?\d?\.\d\d \[-?\d?\.\d\d, -?\d?\.\d\d\]")


def check(printed: str) -> None:
    """Check the width of all lines, and that keys and intervals stand whole in theirs."""
    for line in printed.splitlines():
        assert len(line) <= 80, line
        whole = INTERVAL.sub("", line)
        assert "[" not in whole.replace("[95% interval]", ""), line
        assert "]" not in whole.replace("[95% interval]", ""), line
        for word in line.split():
            broken = [key for key in ROSCOE_KEYS if key != word and key.startswith(word)]
            assert not broken or len(word) < 5, line


def written(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_the_tables_of_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"q{n}", "response": f"r{n}", "id": n} for n in range(12)]
    rows[3]["response"] = ""
    scores = {
        "ours": lambda n, k: 1 + n % 5,
        "theirs": lambda n, k: 5 - n % 5,  # agrees in nothing: negative correlations
        "gold": lambda n, k: None if n == 7 else 1 + (n + (n % 4 == k)) % 5,
    }
    for name, give in scores.items():
        stored = [
            row | {"criterion": key, "score": score}
            for n, row in enumerate(rows)
            for k, key in enumerate(ROSCOE_KEYS)
            if (score := give(n, k)) is not None
        ]
        written(tmp_path / f"{name}.jsonl", stored)
    written(tmp_path / "rows.jsonl", rows)
    command = ["score", "rows.jsonl", "--out", "out.jsonl"]
    for name in ("ours", "theirs"):
        command += ["--judge", f"recorded:path={name}.jsonl"]
    assert main([*command, "--reference", "recorded:path=gold.jsonl"]) == 0
    printed = capsys.readouterr().out
    check(printed)
    assert len(INTERVAL.findall(printed)) == 2 * 6 * 5  # judges, criteria and overall, statistics
    for key in ROSCOE_KEYS:
        # Scores by three judges, and two tables of agreement for two of them.
        assert sum(line.split()[:1] == [key] for line in printed.splitlines()) == 3 + 2 * 2
    totals = [line.split() for line in printed.splitlines() if line.startswith("total ")]
    assert [(total[1], total[-1]) for total in totals] == [
        *[("5-25", "11/12")] * 2,
        ("5-25", "10/12"),
    ]
    for meaning in ("mean:", "macro F1:", "accuracy:", "quadratic kappa:", "Spearman:", "D:", "n:"):
        assert meaning in printed
    assert re.search(r"the response is empty +5\n", printed)


def test_the_widest_figures_fit() -> None:
    one, minus_one = Estimate(1.0, 1.0, 1.0), Estimate(-1.0, -1.0, -1.0)
    statistics = {
        name: one if name in ("macro_f1", "accuracy") else minus_one for name in STATISTICS
    }
    widest = Agreement(123456, statistics, MULTICLASS)
    agreement = dict.fromkeys((*ROSCOE_KEYS, "overall"), widest)
    judged = [Judgement(dict.fromkeys(ROSCOE_KEYS, CriterionScore(5.0, 5)))] * 3
    file = io.StringIO()
    name = "inspector:model=smollm2-135m-instruct,labels=binary,device=cuda:1,batch_size=auto"
    print_summaries([summarise_judge(name, judged, agreement)], "deepseek", "a task", file)
    check(file.getvalue())
    assert file.getvalue().count("-1.00 [-1.00, -1.00]") == 6 * 3
    assert len(INTERVAL.findall(file.getvalue())) == 6 * 5


SHIPPED = shipped_folder("probes")
FOLDERS = [SHIPPED / "smollm2-135m-instruct", SHIPPED / "fast" / "smollm2-135m-instruct"]


@pytest.mark.parametrize("labels", ["multiclass", "binary"])
@pytest.mark.parametrize("dataset", ["gsm8k", "gpqa"])
@pytest.mark.parametrize("packs", FOLDERS, ids=["cross-fitted", "fast"])
def test_the_table_of_a_shipped_pack(packs: Path, dataset: str, labels: str) -> None:
    folder = packs / dataset / labels
    file = io.StringIO()
    print_tables(pack_table(read_card(folder), str(folder)), file=file)
    check(file.getvalue())
    for key in ROSCOE_KEYS:
        (line,) = [line for line in file.getvalue().splitlines() if line.split()[:1] == [key]]
        assert len(INTERVAL.findall(line)) >= 1


def test_words_and_figures_are_not_cut() -> None:
    word = "smollm2-135m-instruct"
    file = io.StringIO()
    rows = [["answer_prefix", "released-code | direct", word, "what is said, " * 9]]
    print_tables(make_table("t", ["option", "type", "default", "meaning"], rows, 4), file=file)
    assert word in file.getvalue()
    assert "released-code" in file.getvalue()
    assert " ".join(file.getvalue().split()).count("what is") > 3
    check(file.getvalue())
    file = io.StringIO()
    print_tables(make_table("t", ["reason", "n"], [["x" * 200, "1234567890"]]), file=file)
    check(file.getvalue())
    assert "".join(file.getvalue().split()).count("x") == 200
    assert "1234567890" in file.getvalue()
    # Where figures leave too little room, names are broken after an underscore.
    file = io.StringIO()
    figures = ["38/100", "12.93", "14.71 (13.37, 16.04)", "14.20 (13.21, 15.19)", "1,028"]
    keys = ["semantic_consistency", "informativeness"]
    headings = ["criterion", "labels", "naive", "labels only", "corrected", "saved"]
    print_tables(make_table("t", headings, [[key, *figures] for key in keys]), file=file)
    assert max(map(len, file.getvalue().splitlines())) <= 80
    lines = [line.split() for line in file.getvalue().splitlines()[3:]]
    assert [line[0] for line in lines if line] == ["semantic_", "consistency", "informativeness"]
    assert lines[1] == ["consistency"]


def test_lines_of_titles_and_notes_end_without_blanks() -> None:
    file = io.StringIO()
    words = " ".join(["word"] * 40)
    print_tables(make_table(words, ["a"], [["b"]], note=words), file=file)
    lines = file.getvalue().splitlines()
    assert lines[0] == " ".join(["word"] * 16)
    assert len(lines) == 3 + 3 + 3 + 1  # title, table, note, and an empty line
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("scale", "rows"),
    [
        (Scale(tuple(range(1, 8))), [["semantic_consistency", *["0"] * 6, "1234", "7"]]),
        (Scale(tuple(range(101))), [["semantic_consistency", "7", "1234", "7"]]),
    ],
)
def test_labels_of_wide_scales_stand_one_below_the_other(
    scale: Scale, rows: list[list[str]]
) -> None:
    file = io.StringIO()
    counts, kept = {"semantic_consistency": {7: 1234}}, {"semantic_consistency": 7}
    print_tables(label_table("Labels", scale, counts, kept), file=file)
    check(file.getvalue())
    found = [line.split() for line in file.getvalue().splitlines()]
    assert [line for line in found if line[:1] == ["semantic_consistency"]] == rows


def test_correctness_is_no_part_of_the_total() -> None:
    scores = {each.key: CriterionScore(3.0, 3, scale=each.scale) for each in ROSCOE}
    both = {**scores, CORRECTNESS.key: CriterionScore(0.25, 0, scale=CORRECTNESS.scale)}
    total = summarise_judge("j", [Judgement(both)]).total
    assert total is not None
    assert (total.mean, total.scale) == (15.0, (5, 25))
    alone = {CORRECTNESS.key: both[CORRECTNESS.key]}
    assert summarise_judge("j", [Judgement(alone)]).total is None


def test_a_judge_of_low_and_high_quality_that_could_not_judge_all() -> None:
    """What is unscored carries the criterion's own scale, which says nothing of the judge's."""
    high = CriterionScore(1.0, 1, scale=BINARY)
    missing = Judgement({key: unscored("the response is empty") for key in ROSCOE_KEYS})
    assert ROSCOE[0].scale == MULTICLASS
    summary = summarise_judge("j", [Judgement(dict.fromkeys(ROSCOE_KEYS, high)), missing])
    assert summary.criteria["fluency"].scale == (0, 1)
    assert summary.total is not None
    assert (summary.total.scale, summary.total.mean, summary.total.scored) == ((0, 5), 5, 1)
    partly = Judgement({**dict.fromkeys(ROSCOE_KEYS, high), "fluency": unscored("no")})
    both = summarise_judge("j", [Judgement(dict.fromkeys(ROSCOE_KEYS, high)), partly])
    assert both.total is not None
    assert (both.total.scale, both.total.scored, both.total.asked) == ((0, 5), 1, 2)


def test_rows_of_an_unknown_data_set_are_refused_or_counted(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probes = tmp_path / "probes"
    language_model = load_language_model(str(tiny_lm), "cpu")
    for dataset in ("gsm8k", "math", "gpqa"):
        write_pack(probes, language_model, "multiclass", dataset, criteria=ROSCOE[:1])
    unknown = {"question": "What is 2 + 2?", "response": "4.", "dataset": "openai/gsm8k"}
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    judge = f"inspector:model={tiny_lm},probes={probes},device=cpu"
    command = ["score", str(file), "--judge", judge, "--criteria", ROSCOE_KEYS[0]]
    written(file, [unknown])
    assert main([*command, "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("inspector score: error: Judge 'inspector' can judge none of the rows:")
    assert "no probes for the data set 'openai/gsm8k', only for gpqa, gsm8k, math" in error
    assert not out.exists()
    written(file, [unknown, {**unknown, "dataset": "gsm8k"}, {**unknown, "dataset": "math"}])
    assert main([*command, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "inspector: inspector: 1 of 3 scores will be missing: there are no probes" in printed.err
    assert [line.split()[-1] for line in printed.out.splitlines() if "1-5" in line] == ["2/3"]


def test_one_criterion_a_response_makes_no_total(capsys: pytest.CaptureFixture[str]) -> None:
    keys = ("fluency", "logicality")
    alone = [
        Judgement({key: CriterionScore(4.0, 4, scale=MULTICLASS)}) for key in keys for _ in range(2)
    ]
    print_summaries([summarise_judge("j", alone)])
    assert "total" not in capsys.readouterr().out
    both = [Judgement({key: CriterionScore(4.0, 4, scale=MULTICLASS) for key in keys})]
    print_summaries([summarise_judge("j", both)])
    assert re.search(r"total +2-10 +8\.00 ", capsys.readouterr().out)

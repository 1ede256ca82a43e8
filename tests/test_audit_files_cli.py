"""The command `inspector audit FILE`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from audited_problems import ROWS, written
from conftest import UseJudges
from fake_plugin import plugin_folder, write_plugin

from inspector_plugin.audits.edits import EDITS
from inspector_plugin.cli.main import main
from inspector_plugin.testing import ScriptedJudge

PLUGIN = """
class ByLength(Judge):
    def judge(self, requests):
        return [
            Judgement({key: AspectScore(score=(s := min(5.0, 1 + len(r.response) / 200)),
                                        label=round(s)) for key in r.aspects})
            for r in requests
        ]

@hookimpl
def register_judges(register):
    register(Backend("by_length", "longer is better", ByLength))
"""


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return written(tmp_path / "pairs.jsonl", ROWS)


def test_the_command_on_a_judge_of_a_plugin(
    tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(tmp_path, "length-judge", PLUGIN)
    out, judged = tmp_path / "new/audit.json", tmp_path / "judged.jsonl"
    command = ["audit", str(pairs), "--judge", "by_length", "--limit", "30"]
    with plugin_folder(tmp_path):
        assert main([*command, "--out", str(out), "--judged", str(judged)]) == 0
        printed = capsys.readouterr()
        assert max(map(len, printed.out.splitlines())) <= 80
        words = " ".join(printed.out.split())
        assert "padding Fault: semantic_consistency rises by" in words
        assert "30 rows of pairs.jsonl, on 30 problems; 10 more were not drawn" in words
        assert "edits show a fault of the judge (padding, flattery, instructions," in words
        # No key and no figure is broken, however wide the figures are.
        assert printed.out.count("\nsemantic_consistency ") == 10
        assert printed.out.count("\nlogicality+factuality ") == 10
        content = json.loads(out.read_text("utf-8"))
        assert content["judge"]["spec"] == "by_length"
        assert (content["source"]["rows"], content["scores_asked"]) == (30, 30 * 11 * 5)
        padding = content["edits"][0]
        assert (padding["edit"], padding["verdict"], padding["made"]) == ("padding", "fault", 30)
        fluency = next(each for each in padding["findings"] if each["measure"] == "fluency")
        assert fluency["shift"]["low"] < fluency["shift"]["value"] < fluency["shift"]["high"]
        assert 0 < fluency["smallest_detectable"] < 1
        assert fluency["q"] < 0.05
        assert len(fluency["largest"]) == 3
        rows = [json.loads(line) for line in judged.read_text("utf-8").splitlines()]
        assert len(rows) == 30 * 11
        assert Counter(row["edit"] for row in rows) == dict.fromkeys(
            [None, *EDITS, "planted wrong calculation"], 30
        )
        assert {"question", "response", "judgements", "row", "id"} <= rows[0].keys()
        for suffix, start in ((".md", "# Audit of by\\_length on pairs"), (".json", "{")):
            written_to = tmp_path / f"again{suffix}"
            assert main([*command, "--out", str(written_to), "--format", "md"]) == 0
            assert written_to.read_text("utf-8").startswith(start)
            assert "| criterion | aim | shift" in capsys.readouterr().out
        assert main([*command, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["edits"] == content["edits"]


def test_the_command_refuses(
    tmp_path: Path,
    pairs: Path,
    use_judges: UseJudges,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = use_judges(scripted=lambda labels: ScriptedJudge(lambda request, key: "no"))
    monkeypatch.setattr("inspector_plugin.cli.audit.make_registry", lambda: registry)

    def error(*arguments: str) -> str:
        assert main(["audit", "--judge", "scripted", *arguments]) == 1
        return capsys.readouterr().err

    assert "--edits goes with a FILE" in error("--edits", "padding")
    assert "--repeats goes with a FILE" in error("--repeats", "1")
    assert "the input itself" in error(str(pairs), "--out", str(pairs))
    assert "the input itself" in error(str(pairs), "--judged", str(pairs))
    both = str(tmp_path / "both.json")
    assert "the input itself" in error(str(pairs), "--judged", both, "--out", both)
    assert "Unknown edit 'paddin'" in error(str(pairs), "--edits", "paddin")
    assert "Cannot read" in error(str(tmp_path / "none.jsonl"))
    assert "gave no score at all" in error(str(pairs), "--edits", "padding")
    with pytest.raises(SystemExit):
        main(["audit", str(pairs), "--judge", "scripted", "--tolerance", "1.5"])
    assert "must be at least 0 and below 1" in capsys.readouterr().err

"""`inspector criteria`: the built-in criteria, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.schema import ROSCOE, ROSCOE_KEYS, read_criteria_file


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["criteria", "list"]) == 0
    assert capsys.readouterr().out == (
        f"roscoe: {', '.join(ROSCOE_KEYS)}\ncorrectness: correctness\n"
    )
    assert main(["criteria", "show", "roscoe"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    words = " ".join(printed.split())
    for criterion in ROSCOE:
        assert f"{criterion.key}: {criterion.title} (1-5)" in words
        assert criterion.definition in words
        assert criterion.fingerprint in words
        for label, text in criterion.anchors.items():
            assert f"{label}: {text}" in words


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_shown_is_a_criteria_file_to_start_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    for chosen, criteria in (("roscoe", ROSCOE), ("fluency", (ROSCOE[3],))):
        assert main(["criteria", "show", chosen, "--format", form]) == 0
        path = tmp_path / f"{chosen}.{form}"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        assert read_criteria_file(path).criteria == criteria
        assert main(["criteria", "check", str(path)]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        for criterion in criteria:
            row = [criterion.key, "1-5", str(len(criterion.anchors)), criterion.fingerprint]
            assert row in rows


def test_check_names_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    head = "format_version: 1\nname: mine\ncriteria:\n"
    path.write_text(head + "  - {key: care, definition: It cares., scale: [1, 2, 4]}\n")
    assert main(["criteria", "check", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"inspector criteria: error: {path}: criteria[0]")
    assert "[1, 2, 4] are not" in error
    assert error.count("\n") == 1
    assert main(["criteria", "show", "fluenzy"]) == 1
    assert "Did you mean 'fluency'?" in capsys.readouterr().err

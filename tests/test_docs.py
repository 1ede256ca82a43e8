"""The documents say what the program does: commands, options, hooks, formats and examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from inspector_plugin.data.requests import read_requests
from inspector_plugin.harness.options import RunOptions
from inspector_plugin.judging.score_file import score_to_file
from inspector_plugin.plugins import hookspecs
from inspector_plugin.plugins.options import options_of
from inspector_plugin.plugins.registry import make_registry
from inspector_plugin.schema import parse_criteria, read_criteria_file
from inspector_plugin.testing import ScriptedJudge

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("examples/*/*.md")])


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_command_line_page_is_up_to_date() -> None:
    command = [sys.executable, str(DOCS / "generate_cli.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_judge_option_and_hook_is_documented() -> None:
    page, everything = read(DOCS / "cli.md"), "\n".join(map(read, PAGES))
    for name, registered in make_registry().backends.items():
        section = page.partition(f"### `{name}`")[2].partition("\n#")[0]
        assert section, name
        for option in registered.backend.option_list:
            assert f"| `{option.name}` |" in section, (name, option.name)
    for option in options_of(RunOptions):
        assert f"| `{option.name}` |" in page
    for hook in vars(hookspecs):
        if hasattr(getattr(hookspecs, hook), "inspector_plugin_spec"):
            assert hook in everything, hook


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", read(page)):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_in_the_pages_exist() -> None:
    known = set(re.findall(r"^## `inspector ([a-z ]+)`$", read(DOCS / "cli.md"), re.MULTILINE))
    for page in PAGES:
        if page.name == "RESULTS.md":
            continue
        for command in re.findall(r"^ *(?:\w+=\S+ )?inspector ([a-z]+)", read(page), re.MULTILINE):
            assert command in known, f"{page.name}: inspector {command}"


def test_the_criteria_file_of_the_page_is_one(tmp_path: Path) -> None:
    text = re.findall(r"```yaml\n(.*?)```", read(DOCS / "criteria.md"), re.DOTALL)[0]
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert [each.key for each in read_criteria_file(file).criteria] == ["care", "answered"]
    schema = json.loads(read(DOCS / "schemas/criteria.schema.json"))
    content = json.loads(json.dumps(yaml.safe_load(text)))
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "other": 1}, schema)


def test_what_is_written_keeps_to_the_schema_of_judgements(tmp_path: Path) -> None:
    schema = json.loads(read(DOCS / "schemas/judgement.schema.json"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"question": "q", "response": "r"}\n{"question": "q", "response": ""}\n', encoding="utf-8"
    )
    script = iter([4, "no idea", 2.5, 1, 1] * 2)
    judge = ScriptedJudge(lambda request, key: next(script))
    out = tmp_path / "out.jsonl"
    score_to_file(read_requests(rows), {"scripted": judge}, out, {})
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    demo = (ROOT / "tasks/demo/scored.jsonl").read_text(encoding="utf-8").splitlines()
    for row in [*written, *map(json.loads, demo)]:
        jsonschema.validate(row, schema)
    broken = written[0]
    del broken["judgements"]["scripted"]["scores"]["fluency"]["scale"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_the_example_of_the_format_keeps_to_the_schema() -> None:
    schema = json.loads(read(DOCS / "schemas/judgement.schema.json"))
    text = re.findall(r"```json\n(.*?)```", read(DOCS / "judgement-format.md"), re.DOTALL)[0]
    row = json.loads(text.replace(', "...": "..."', ""))
    for score in row["judgements"]["inspector"]["scores"].values():
        score["fingerprint"] = parse_criteria("fluency")[0].fingerprint
    jsonschema.validate(row, schema)

"""`inspector export`: a judgement file as CSV, Parquet, or in the schema of Every Eval Ever."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.cli import flags
from inspector_plugin.data.exports import LONG, WIDE, judged_rows_of, write_csv, write_parquet
from inspector_plugin.data.files import locked, read_json, require_no_input, run_file
from inspector_plugin.errors import CriteriaError, DataError, OptionError, count_of
from inspector_plugin.judges.prompt.prompts import conversation_for, prompts_fingerprint
from inspector_plugin.judging.resume import writing
from inspector_plugin.report.every_eval_ever import (
    RELATIONSHIPS,
    JudgeInfo,
    RunInfo,
    evaluation_log,
)
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest

_CSV, _PARQUET, _EVERY_EVAL_EVER = "csv", "parquet", "every-eval-ever"
_OF_EVERY_EVAL_EVER = (
    "model",
    "organization",
    "relationship",
    "dataset",
    "judge_model",
    "input_prompt",
)


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export",
        description="Write the judgements of FILE in another form. What Every Eval Ever asks for "
        "is taken from the rows and from FILE.run.json beside the file; flags say the rest.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="judgement file or sample log")
    parser.add_argument(
        "--format", required=True, choices=(_CSV, _PARQUET, _EVERY_EVAL_EVER), help="the form"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write")
    flags.add_overwrite_flag(parser)
    tables = parser.add_argument_group("CSV and Parquet")
    tables.add_argument(
        "--layout",
        choices=(WIDE, LONG),
        help=f"a row for each response or for each score (default: {WIDE})",
    )
    tables.add_argument(
        "--spreadsheet",
        action="store_true",
        help="CSV: put an apostrophe before texts that a spreadsheet would run as a formula",
    )
    log = parser.add_argument_group("Every Eval Ever")
    log.add_argument("--model", metavar="NAME", help="the evaluated model (default: of the rows)")
    log.add_argument("--organization", metavar="NAME", help="who publishes the scores")
    log.add_argument(
        "--relationship", choices=RELATIONSHIPS, help="the publisher's relation to the model"
    )
    log.add_argument(
        "--dataset", metavar="NAME", help="of rows that name neither task nor data set"
    )
    log.add_argument(
        "--judge-model", metavar="NAME", help="the judge's model, where FILE.run.json has none"
    )
    log.add_argument(
        "--input-prompt", type=Path, metavar="PATH", help="text file of the judge's prompt"
    )
    parser.set_defaults(run_command=run_export)


def run_export(options: argparse.Namespace) -> int:
    """Export the file."""
    _check(options)
    out: Path = options.out
    with locked(out):
        if out.exists() and not options.overwrite:
            raise DataError(f"{out} exists: pass --overwrite to write it anew, or another --out.")
        draft = out.with_name(out.name + ".draft")
        with writing(out):
            try:
                replaced = _write(options, draft)
                draft.replace(out)
            finally:
                draft.unlink(missing_ok=True)
    if replaced:
        texts = count_of(replaced, "text")
        print(f"invalid Unicode in {texts}; written with U+FFFD", file=sys.stderr)
    print(f"written to {out}", file=sys.stderr)
    return 0


def _write(options: argparse.Namespace, out: Path) -> int:
    if options.format == _CSV:
        return write_csv(options.file, options.layout or WIDE, out, safe=options.spreadsheet)
    if options.format == _PARQUET:
        return write_parquet(options.file, options.layout or WIDE, out)
    log = evaluation_log(judged_rows_of(options.file), _run_info(options))
    out.write_text(json.dumps(log, indent=2) + "\n", encoding="utf-8")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse flags of another format, and outputs that cannot be written."""
    flags.check_output(options.out, options.file)
    require_no_input(options.out, "--out", [options.file, run_file(options.file)])
    others = _OF_EVERY_EVAL_EVER if options.format != _EVERY_EVAL_EVER else ("layout",)
    for name in others:
        if getattr(options, name) is not None:
            raise OptionError(f"{flags.flag_of(name)} is not for --format {options.format}.")
    if options.spreadsheet and options.format != _CSV:
        raise OptionError(f"--spreadsheet is not for --format {options.format}.")


def _run_info(options: argparse.Namespace) -> RunInfo:
    made_by = _made_by(options.file)
    prompt = None if options.input_prompt is None else _read_text(options.input_prompt)
    criteria = _criteria(made_by)
    judges = {}
    for name, judge in (made_by.get("judges") or {}).items():
        made_of = judge.get("made_of") or {}
        model = options.judge_model or made_of.get("model")
        details = {"spec": str(judge.get("spec")), "made_of": json.dumps(made_of, sort_keys=True)}
        judges[str(name)] = JudgeInfo(
            None if model is None else str(model),
            prompt or _prompt_of(made_of, criteria, made_by.get("dataset")),
            details,
        )
    if not judges:  # no run file: what the flags say holds for every judge of the file
        named = {name for _, judged in judged_rows_of(options.file) for name in judged}
        judges = {name: JudgeInfo(options.judge_model, prompt, {}) for name in sorted(named)}
    return RunInfo(
        model=options.model,
        organization=options.organization,
        relationship=options.relationship,
        dataset=options.dataset,
        judges=judges,
        criteria={each.key: (each.title, each.definition) for each in criteria},
        timestamp=f"{time.time():.0f}",
    )


def _made_by(file: Path) -> Mapping[str, Any]:
    """What FILE.run.json says; nothing where it is not there."""
    try:
        content = read_json(run_file(file))
        judges = content.get("judges") or {}
        if not all(isinstance(judge, Mapping) for judge in judges.values()):
            raise ValueError("its judges are malformed")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"Cannot read {run_file(file)}: {error}.") from error
    return dict(content)


def _criteria(made_by: Mapping[str, Any]) -> tuple[Criterion, ...]:
    try:
        return tuple(Criterion.from_json(row) for row in made_by.get("criteria") or ())
    except (CriteriaError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"The criteria in the run file cannot be read: {error}.") from error


def _prompt_of(
    made_of: Mapping[str, Any], criteria: tuple[Criterion, ...], dataset: str | None
) -> str | None:
    """The prompt of a prompted judge, if it is still the one that this version writes."""
    if made_of.get("prompts") != prompts_fingerprint() or not criteria:
        return None
    joint = made_of.get("mode") == "joint"
    request = JudgeRequest("{question}", "{response}", criteria)
    chosen = made_of.get("dataset") or dataset
    conversations = [
        conversation_for(request, part, joint, chosen if isinstance(chosen, str) else None)
        for part in ([criteria] if joint else [(each,) for each in criteria])
    ]
    return "\n\n==========\n\n".join(
        "\n\n".join(f"{message.role}:\n{message.content}" for message in each.messages)
        for each in conversations
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"Cannot read --input-prompt {path}: {error}.") from error

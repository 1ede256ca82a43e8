"""`inspector score --engine ray`: the flags, and the run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.cli import flags
from inspector_plugin.data.files import locked, require_no_input
from inspector_plugin.data.requests import RequestForm, RequestRow, RowFields
from inspector_plugin.data.stored_scores import JUDGEMENTS
from inspector_plugin.errors import OptionError, count_of
from inspector_plugin.folders import expanded
from inspector_plugin.plugins.options import JudgeSpec, OptionValue
from inspector_plugin.report.tables import plain
from inspector_plugin.schema.records import Judgement

ROWS_PER_FILE = 512
_FLAGS = ("actors", "cpus_per_actor", "gpus_per_actor", "ray_address", "rows_per_file", "jsonl")

OnRow = Callable[[RequestRow, Mapping[str, Judgement]], None]


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """Add --engine and what goes with it."""
    group = parser.add_argument_group(
        "judging on Ray", "OUT is a folder of Parquet files; paths may be addresses (s3://...)."
    )
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where to judge: in this process, or by actors of Ray on this machine or a cluster "
        "(default: local)",
    )
    group.add_argument(
        "--actors",
        type=flags.positive,
        metavar="N",
        help="actors, each with its own judges (default: one for each GPU, or one)",
    )
    group.add_argument(
        "--cpus-per-actor", type=_share, metavar="N", help="default: an equal share of the cores"
    )
    group.add_argument(
        "--gpus-per-actor", type=_share, metavar="N", help="default: 1 where there are GPUs"
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="the cluster's address, or auto (default: RAY_ADDRESS, or else this machine alone)",
    )
    group.add_argument(
        "--rows-per-file",
        type=flags.positive,
        metavar="N",
        help=f"rows judged and written at once (default: {ROWS_PER_FILE})",
    )
    group.add_argument(
        "--jsonl", type=Path, metavar="PATH", help="also write all rows to one judgement file"
    )


def require_engine(options: argparse.Namespace) -> None:
    """Refuse flags that go with --engine ray where it is not asked for.

    Raises:
        OptionError: If there is one.
    """
    given = [name for name in _FLAGS if getattr(options, name) is not None]
    if options.engine != "ray" and given:
        raise OptionError(f"{flags.flag_of(given[0])} goes with --engine ray only.")


def score_by_ray(
    options: argparse.Namespace,
    form: RequestForm,
    specs: Mapping[str, JudgeSpec],
    defaults: Mapping[str, OptionValue],
    on_row: OnRow,
) -> tuple[int, dict[str, Any]]:
    """Judge on Ray.

    Args:
        options: The flags.
        form: How rows become requests.
        specs: The judges, by their names in this run.
        defaults: What flags set for every judge.
        on_row: Called with each row and its judgements, in order, when all are judged.

    Returns:
        The number of rows, and what made the output.

    Raises:
        InspectorError: If something cannot be used, read, judged or written.
    """
    from inspector_plugin.workflows.judged_folder import JudgedFolder
    from inspector_plugin.workflows.ray_engine import RayPlan, RayRun
    from inspector_plugin.workflows.row_chunks import ChunkedRows, address

    out = _checked_out(options)
    plan = RayPlan(
        specs,
        defaults,
        form,
        cached=not options.no_cache,
        address=options.ray_address,
        actors=options.actors,
        cpus=options.cpus_per_actor,
        gpus=options.gpus_per_actor,
    )
    places = [_absolute(address(path)) for path in options.paths]
    folder = JudgedFolder(_absolute(address(out)))
    with ExitStack() as stack:
        if "://" not in folder.place:
            stack.enter_context(locked(out))
        run = stack.enter_context(RayRun(plan))
        rows = ChunkedRows(places, form, options.rows_per_file or ROWS_PER_FILE, options.limit)
        described, notes = run.described(rows)
        for note in notes:
            print(plain(f"inspector: {note}"), file=sys.stderr)
        made_by = {
            "inspector_plugin": __version__,
            "input_sha256": rows.sha256,
            "criteria": [criterion.to_json() for criterion in form.criteria],
            "criterion_field": form.criterion_field,
            "rubric_field": form.rubric_field,
            "dataset": form.dataset,
            "fields": {name: value for name, value in vars(form.fields).items() if value},
            "judges": {
                name: {"spec": str(spec), "made_of": described[name]}
                for name, spec in specs.items()
            },
        }
        finished = folder.prepare(made_by, options.overwrite)
        print(
            f"inspector: {rows.count - len(finished)} of {count_of(rows.count, 'row')} to judge, "
            f"by {count_of(run.actors, 'actor')}",
            file=sys.stderr,
        )
        run.judge(rows, finished, folder)
        read = folder.lines(rows.count)
        for row, judged in _read_back(read, form, list(specs), options.jsonl):
            on_row(row, judged)
    return rows.count, made_by


def _read_back(
    lines: Iterator[dict[str, Any]], form: RequestForm, names: list[str], jsonl: Path | None
) -> Iterator[tuple[RequestRow, dict[str, Judgement]]]:
    usual = replace(form, fields=RowFields())  # a row that was written has the usual fields
    with ExitStack() as stack:
        file = None if jsonl is None else stack.enter_context(jsonl.open("w", encoding="utf-8"))
        for number, row in enumerate(lines, start=1):
            if file is not None:
                file.write(json.dumps(row) + "\n")
            judged = {name: Judgement.from_json(row[JUDGEMENTS][name]) for name in names}
            yield usual.request_row(row, f"judged row {number}"), judged


def _checked_out(options: argparse.Namespace) -> Path:
    out: Path | None = options.out
    if out is None:
        raise OptionError("--engine ray needs --out: the folder to write Parquet files to.")
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out {out} is a file; --engine ray writes a folder of Parquet files.")
    if options.merge_log is not None:
        raise OptionError("--merge-log does not go with --engine ray: judge logs without it.")
    if any(str(path) == "-" for path in options.paths):
        raise OptionError("--engine ray cannot read standard input; give files.")
    for path in options.paths:
        require_no_input(out, "--out", [path])
        if options.jsonl is not None:
            require_no_input(options.jsonl, "--jsonl", [path])
    return out


def _absolute(place: str) -> str:
    """Workers run in folders of their own."""
    return place if "://" in place else str(expanded(place).resolve())


def _share(text: str) -> float:
    number = flags.number(text)
    if not 0 <= number < 10_000:
        raise argparse.ArgumentTypeError(f"must be from 0 up to 10,000, not {text[:40]}")
    return number

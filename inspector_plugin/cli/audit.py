"""`inspector audit`: whether a judge tells right solutions from flawed ones and from nonsense, and
whether it heeds what it should not.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inspector_plugin.audits.edited import OnJudged, all_edits, judge_edits
from inspector_plugin.audits.edits import EDITS, PLANTED, chosen_edits
from inspector_plugin.audits.findings import TOLERANCE, findings_of
from inspector_plugin.audits.rows import AuditRow, survey
from inspector_plugin.audits.run import WARNING_FLAGS, run_suite
from inspector_plugin.audits.suite import read_suite
from inspector_plugin.cli import flags
from inspector_plugin.data.files import require_no_input, require_output, write_whole
from inspector_plugin.errors import CriteriaError, DataError, OptionError, count_of
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.report.audits import report_to_json, suite_document
from inspector_plugin.report.document import Document
from inspector_plugin.report.edits import edits_document, edits_to_json
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document
from inspector_plugin.report.tables import plain
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.criteria_files import built_in_criterion, parse_criteria
from inspector_plugin.schema.records import Judgement
from inspector_plugin.schema.roscoe import ROSCOE

_CORRECTNESS = "correctness"
# Flags that mean nothing without FILE.
_OF_FILES = ("edits", "errors", "repeats", "seed", "tolerance", "judged", "dataset")


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "audit",
        description="Without FILE, judge the sanity suite: problems with right solutions, flawed "
        "ones and nonsense; for each kind of response, print how often the judge scores it below "
        "the right solutions of the same problem. With FILE, judge its responses as they are and "
        "edited (padded, flattering, with orders to the judge, broken off, with errors planted, "
        "...), and say which edits move the scores as they should not. A run that was interrupted "
        "resumes when it is called again.",
    )
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="rows of question and response; pairs files also have planted and error",
    )
    parser.add_argument("--judge", required=True, metavar="SPEC", help=flags.SPEC_HELP)
    flags.add_criteria_flag(
        parser,
        "what to judge on, comma-separated: roscoe, correctness, keys or criteria files (default: "
        "roscoe, and correctness where the judge can judge it)",
    )
    parser.add_argument(
        "--limit",
        type=flags.positive,
        metavar="N",
        help="only the first N problems of the suite; of FILE, N rows drawn by --seed",
    )
    parser.add_argument(
        "--format", default="table", choices=OUTPUT_FORMATS, help="how to print (default: table)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="write the figures as JSON, or as Markdown to a name that ends in .md",
    )
    parser.add_argument(
        "--flags",
        default=",".join(WARNING_FLAGS),
        metavar="LIST",
        help="of the suite, the flags of scores that count as a warning, comma-separated "
        "(default: %(default)s)",
    )
    _add_file_flags(parser)
    flags.add_judge_option(
        parser, "labels", "device", "dtype", "batch_size", "concurrency", "max_cost"
    )
    flags.add_cache_flag(parser)
    parser.set_defaults(run_command=run_audit)


def _add_file_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with FILE")
    group.add_argument(
        "--edits",
        metavar="LIST",
        help=f"comma-separated: {', '.join(EDITS)}, {PLANTED} (default: all)",
    )
    group.add_argument(
        "--errors",
        metavar="LIST",
        help="of a pairs file, only the rows with these types of errors, comma-separated",
    )
    group.add_argument(
        "--repeats",
        type=flags.positive,
        metavar="N",
        help="judge each unedited response N times, for judges that vary (default: 1)",
    )
    group.add_argument(
        "--tolerance",
        type=flags.below_one,
        metavar="SHARE",
        help=f"shifts below this share of the scale are no fault (default: {TOLERANCE:g})",
    )
    group.add_argument(
        "--seed", type=flags.seed, metavar="N", help="of draw and edits (default: 0)"
    )
    group.add_argument("--dataset", metavar="NAME", help="the data set of rows that name none")
    group.add_argument(
        "--judged", type=Path, metavar="PATH", help="write the texts with their judgements as JSONL"
    )


def run_audit(options: argparse.Namespace) -> int:
    """Audit a judge on the suite or on a file, print the tables and write the figures.

    Returns:
        1 if the judge gave no score at all.
    """
    spec = JudgeSpec.parse(options.judge)
    _check_outputs(options, spec)
    if options.file is None:
        document, content, given = _audit_suite(options, spec)
    else:
        document, content, given = _audit_file(options, spec)
    print_document(document, content, options.format)
    if options.out is not None:
        _write(options.out, document, content)
    if given:
        return 0
    print("inspector audit: the judge gave no score at all", file=sys.stderr)
    return 1


Audited = tuple[Document, Mapping[str, Any], int]


def _audit_suite(options: argparse.Namespace, spec: JudgeSpec) -> Audited:
    for name in _OF_FILES:
        if getattr(options, name) is not None:
            raise OptionError(f"--{name} goes with a FILE; without one, the suite is judged.")
    suite = read_suite().first(options.limit)
    with _created(options, spec) as judge:
        criteria = _criteria(options.criteria, judge, [item.dataset for item in suite.items])
        about = _about(judge, spec)
        with opened_cache(not options.no_cache) as cache:
            report = run_suite(
                judge,
                suite,
                criteria,
                name=spec.name,
                flags=tuple(flags.listed(options.flags)),
                cache=cache,
            )
    # Those that count unless others are named need not occur.
    flags.warn_of_unseen_flags("--flags", report.unseen, WARNING_FLAGS)
    return (
        suite_document(spec.name, suite, report),
        {"judge": about, **report_to_json(suite, report)},
        report.given,
    )


def _audit_file(options: argparse.Namespace, spec: JudgeSpec) -> Audited:
    seed, repeats = options.seed or 0, options.repeats or 1
    found = survey(
        options.file,
        dataset=options.dataset,
        errors=None if options.errors is None else flags.listed(options.errors),
        limit=options.limit,
        seed=seed,
    )
    made = chosen_edits(options.edits, bool(found.errors))
    planted = options.edits is None or PLANTED in flags.listed(options.edits)
    edits = all_edits(made, found, planted)
    with _created(options, spec) as judge:
        criteria = _criteria(options.criteria, judge, found.datasets)
        about = _about(judge, spec)
        print(
            f"inspector audit: {count_of(len(found.numbers), 'row')}, "
            f"{count_of(len(edits), 'edit')}, on "
            f"{', '.join(criterion.key for criterion in criteria)}",
            file=sys.stderr,
        )
        with (
            opened_cache(not options.no_cache) as cache,
            _judged_file(options.judged, spec.name) as on_judged,
        ):
            scores = judge_edits(
                judge,
                found,
                criteria,
                edits,
                name=spec.name,
                seed=seed,
                repeats=repeats,
                cache=cache,
                on_judged=on_judged,
            )
    tolerance = TOLERANCE if options.tolerance is None else options.tolerance
    report = findings_of(scores, edits, tolerance)
    content = {"judge": about, "seed": seed, "repeats": repeats, **edits_to_json(found, report)}
    return edits_document(spec.name, found, report), content, scores.given


@contextmanager
def _created(options: argparse.Namespace, spec: JudgeSpec) -> Iterator[Judge]:
    registry, defaults = make_registry(), flags.judge_defaults(options)
    flags.require_use(defaults, [spec], registry)
    with create_judge(spec, defaults, registry) as judge:
        yield judge


def _about(judge: Judge, spec: JudgeSpec) -> dict[str, Any]:
    return {"spec": str(spec), "made_of": dict(judge.describe())}


def _criteria(given: str | None, judge: Judge, datasets: Iterable[str | None]) -> list[Criterion]:
    """Choose the criteria, leaving out what the judge can judge on no problem.

    Raises:
        OptionError: If none is left.
    """
    wanted = _default_criteria() if given is None else parse_criteria(given)
    chosen = []
    for criterion in wanted:
        reasons = [judge.cannot_judge(criterion, each) for each in dict.fromkeys(datasets)]
        if None in reasons:
            chosen.append(criterion)
        elif given is not None:
            print(
                plain(f"inspector audit: {criterion.key} left out: {reasons[0]}"), file=sys.stderr
            )
    if not chosen:
        raise OptionError(f"The judge can judge none of: {', '.join(c.key for c in wanted)}.")
    return chosen


def _default_criteria() -> Sequence[Criterion]:
    try:
        return (*ROSCOE, built_in_criterion(_CORRECTNESS))
    except CriteriaError:  # not among those built in
        return ROSCOE


def _check_outputs(options: argparse.Namespace, spec: JudgeSpec) -> None:
    """Refuse to write over what the run reads, or one output over the other."""
    inputs = [] if options.file is None else [options.file]
    inputs += flags.named_files([spec], options.criteria)
    for flag, path in (("--out", options.out), ("--judged", options.judged)):
        if path is not None:
            require_output(path, flag, inputs)
    if options.out is not None and options.judged is not None:
        require_no_input(options.judged, "--judged", [options.out])


@contextmanager
def _judged_file(path: Path | None, name: str) -> Iterator[OnJudged | None]:
    """Write texts with their judgements; the file is there whole or not at all."""
    if path is None:
        yield None
        return
    draft = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:

            def write(row: AuditRow, edit: str | None, text: str, judgement: Judgement) -> None:
                file.write(json.dumps(_judged_row(row, edit, text, {name: judgement})) + "\n")

            yield write
        draft.replace(path)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)


def _judged_row(
    row: AuditRow, edit: str | None, text: str, judgements: Mapping[str, Judgement]
) -> dict[str, Any]:
    known = {"id": row.id, "dataset": row.dataset}
    return {
        **{name: value for name, value in known.items() if value is not None},
        "row": row.number,
        "edit": edit,
        "question": row.question,
        "response": text,
        "judgements": {name: judgement.to_json() for name, judgement in judgements.items()},
    }


def _write(path: Path, document: Document, content: Mapping[str, Any]) -> None:
    text = io.StringIO()
    print_document(document, content, "md" if path.suffix == ".md" else "json", text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.getvalue().encode())
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error}.") from error

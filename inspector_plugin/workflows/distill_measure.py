"""The distilled judge on what it never saw: held-out problems, edits of them, the sanity suite."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.audits.edited import all_edits, judge_edits
from inspector_plugin.audits.edits import EDITS
from inspector_plugin.audits.findings import findings_of
from inspector_plugin.audits.rows import survey
from inspector_plugin.audits.run import run_suite
from inspector_plugin.audits.suite import read_suite
from inspector_plugin.data.files import read_json, run_file, write_whole
from inspector_plugin.data.requests import RequestRow
from inspector_plugin.errors import DataError
from inspector_plugin.judges.packs import sha256_of
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.score_file import score_to_file
from inspector_plugin.plugins.registry import JudgeRegistry, create_judge
from inspector_plugin.report.audits import report_to_json, suite_document
from inspector_plugin.report.document import Section
from inspector_plugin.report.edits import edits_document, edits_to_json
from inspector_plugin.schema.roscoe import ROSCOE
from inspector_plugin.workflows.distill_choice import HELD_OUT
from inspector_plugin.workflows.distill_labels import labels_sha256, request_rows, split_labels
from inspector_plugin.workflows.distill_plan import DISTILLED, DistillPlan, distilled_spec
from inspector_plugin.workflows.distill_training import TrainedPack, pack_card


@dataclass(frozen=True)
class Audited:
    """What audits found.

    Attributes:
        sections: For the report.
        words: One line for each audit.
        figures: All figures, as values that JSON can hold.
    """

    sections: Sequence[Section]
    words: Sequence[str]
    figures: Mapping[str, Any]


def judge_held_out(plan: DistillPlan, pack: TrainedPack, judge: Judge) -> float | None:
    """Let the distilled judge judge the held-out rows, beside the reference's judgements.

    Args:
        plan: What is asked for.
        pack: The pack that was trained.
        judge: The judge of its probes.

    Returns:
        Rows per second; None if it was not measured.
    """
    rows = request_rows(plan, split_labels(plan, HELD_OUT))
    made_by = {
        "inspector_plugin": __version__,
        "command": "distill",
        "labels_sha256": labels_sha256(plan),
        "criteria": [criterion.described() for criterion in plan.form.criteria],
        "pack_sha256": sha256_of(pack_card(pack)),
    }
    judged = 0

    def count(row: RequestRow, judgements: Any) -> None:
        nonlocal judged
        judged += 1

    before = _lines(plan)
    anew = not _is_made_by(plan, made_by)
    start = time.monotonic()
    # Without the cache, so that the speed is that of judging; the file itself is resumed.
    score_to_file(rows, {DISTILLED: judge}, plan.judged, made_by, overwrite=anew, on_row=count)
    seconds = time.monotonic() - start
    return _speed(plan, judged - (0 if anew else before), seconds)


def make_distilled(plan: DistillPlan, pack: TrainedPack, registry: JudgeRegistry) -> Judge:
    """Make the judge of the folder's probes."""
    options = {**plan.running.judge_options, "model": plan.model}
    return create_judge(distilled_spec(plan, pack.labels), options, registry)


def _is_made_by(plan: DistillPlan, made_by: Mapping[str, Any]) -> bool:
    """Whether the held-out rows that there are were judged by this very pack."""
    try:
        found: Any = read_json(run_file(plan.judged))
    except (OSError, ValueError):
        return False
    return plan.judged.exists() and found == json.loads(json.dumps(made_by))


def _lines(plan: DistillPlan) -> int:
    if not plan.judged.exists():
        return 0
    with plan.judged.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


def _speed(plan: DistillPlan, rows: int, seconds: float) -> float | None:
    """Rows per second of this call, or of an earlier one if this one judged nothing."""
    if rows > 0 and seconds > 0:
        speed = rows / seconds
        write_whole(plan.measured, json.dumps({"rows_per_second": round(speed, 4)}).encode())
        return speed
    try:
        return float(read_json(plan.measured)["rows_per_second"])
    except (OSError, ValueError, TypeError, LookupError):
        return None


def audit(plan: DistillPlan, pack: TrainedPack, judge: Judge, cache: JudgeCache | None) -> Audited:
    """Audit the distilled judge; what is judged is in the cache at once, so that it resumes."""
    if not plan.audit_rows:
        return Audited([], ["None: --audit-rows 0."], {})
    parts = [_audit_edits(plan, pack, judge, cache), _audit_suite(plan, pack, judge, cache)]
    figures = {name: value for part in parts for name, value in part.figures.items()}
    write_whole(plan.audit, (json.dumps(figures, indent=1) + "\n").encode())
    return Audited(
        [section for part in parts for section in part.sections],
        [line for part in parts for line in part.words],
        figures,
    )


def _audit_edits(
    plan: DistillPlan, pack: TrainedPack, judge: Judge, cache: JudgeCache | None
) -> Audited:
    """Edit some held-out responses, and see which edits move the scores as they should not."""
    try:
        found = survey(plan.judged, limit=plan.audit_rows, seed=plan.seed)
    except DataError as error:
        return Audited([], [f"Edits: none could be made ({error})"], {})
    edits = all_edits(tuple(EDITS.values()), found, planted=False)
    scores = judge_edits(
        judge, found, pack.criteria, edits, name=DISTILLED, seed=plan.seed, cache=cache
    )
    report = findings_of(scores, edits)
    document = edits_document(DISTILLED, found, report)
    sections = [
        Section(f"audit-{each.key}", f"Audit: {each.title.lower()}", each.lead, each.parts)
        for each in document.sections
    ]
    words = f"Edits of {len(found.numbers)} held-out responses: {document.sections[-1].lead}"
    return Audited(sections, [words], {"edits": edits_to_json(found, report)})


def _audit_suite(
    plan: DistillPlan, pack: TrainedPack, judge: Judge, cache: JudgeCache | None
) -> Audited:
    """Judge the sanity suite, where the criteria are those that it is made for."""
    known = [criterion for criterion in pack.criteria if criterion in ROSCOE]
    if not known:
        why = "Sanity suite: left out, its responses are made for other criteria"
        return Audited([], [why], {})
    suite = read_suite().first(plan.audit_rows)
    report = run_suite(judge, suite, known, name=DISTILLED, cache=cache)
    [section] = suite_document(DISTILLED, suite, report).sections
    shares = [each.share for each in report.orderings if each.share is not None]
    right = [share for share in shares if share.low is not None and share.low > 0.5]
    words = (
        f"Sanity suite, {len(suite.problems)} problems: {len(right)} of {len(shares)} kinds of "
        "flawed responses score below right ones more often than not, for certain."
    )
    return Audited([section], [words], {"suite": report_to_json(suite, report)})

"""What came of it: may the distilled judge replace the reference, where not, and what it saves."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.cascade_choice import (
    CASCADE,
    CHEAP,
    Cascades,
    choose_cascades,
    pilots_of,
    shares_asked,
)
from inspector_plugin.agreement.replacement import Replacement, Sides, replacements
from inspector_plugin.data.files import write_whole
from inspector_plugin.data.score_table import ScoreTable, Source, read_score_table
from inspector_plugin.report.build import ReportOptions, build_report
from inspector_plugin.report.distill import distill_document, figures_to_json
from inspector_plugin.report.distill_figures import (
    CostFigures,
    DistillFigures,
    JudgeToUse,
    LabelFigures,
)
from inspector_plugin.report.document import Document
from inspector_plugin.report.formats import as_markdown
from inspector_plugin.report.packs import pack_document
from inspector_plugin.report.printing import print_document
from inspector_plugin.workflows.distill_labels import Labels
from inspector_plugin.workflows.distill_measure import Audited
from inspector_plugin.workflows.distill_plan import (
    DISTILLED,
    DistillPlan,
    cascade_spec,
    distilled_spec,
)
from inspector_plugin.workflows.distill_training import TrainedPack, pack_card

_TRUNCATED = "truncated"


def conclude(
    plan: DistillPlan,
    choice: Mapping[str, Any],
    labels: Labels,
    pack: TrainedPack,
    speed: float | None,
    audited: Audited,
) -> DistillFigures:
    """Draw the conclusions, and write them down.

    Args:
        plan: What was asked for.
        choice: What was said of the choice of rows.
        labels: What came of labelling.
        pack: The pack.
        speed: Rows per second of the distilled judge.
        audited: What audits found.
    """
    table = read_score_table([Source(plan.judged)], criteria=plan.form.criteria)
    found, cascades = _verdicts(plan, table, pack)
    figures = DistillFigures(
        plan.reference.name,
        plan.bars,
        _label_figures(choice, labels),
        found,
        cascades,
        _judges(plan, pack, found, cascades),
        _cost(choice, labels, found, cascades, speed),
        pack.labels,
        audited.words,
    )
    _write(plan, figures, table, pack, audited)
    return figures


def _verdicts(
    plan: DistillPlan, table: ScoreTable, pack: TrainedPack
) -> tuple[list[Replacement], Cascades]:
    name = plan.reference.name
    sides: Sides = {
        criterion.key: (table.column(DISTILLED, criterion.key), table.column(name, criterion.key))
        for criterion in pack.criteria
    }
    seed, resamples = plan.seed, plan.resamples
    by_key = {
        each.key: each
        for each in replacements(table, sides, plan.bars, seed=seed, resamples=resamples)
    }
    found = [
        by_key.get(criterion.key)
        or Replacement(criterion.key, None, why_not=pack.skipped.get(criterion.key))
        for criterion in plan.form.criteria
    ]
    pilots = pilots_of(table, sides, found, _TRUNCATED)
    return found, choose_cascades(pilots, plan.bars, seed=seed, resamples=resamples)


def _label_figures(choice: Mapping[str, Any], labels: Labels) -> LabelFigures:
    return LabelFigures(
        int(choice["candidates"]),
        int(choice["training"]),
        int(choice["held_out"]),
        labels.asked - labels.scored,
        labels.reasons,
        labels.spent if labels.price is not None or labels.spent else None,
        choice["left_out"],
        str(choice["guided_by"]),
    )


def _judges(
    plan: DistillPlan,
    pack: TrainedPack,
    found: Sequence[Replacement],
    cascades: Cascades,
) -> list[JudgeToUse]:
    """The distilled judge where it may be used alone, and a cascade for each threshold."""
    alone = [each.key for each in found if each.may_replace]
    judges = [JudgeToUse(CHEAP, alone, str(distilled_spec(plan, pack.labels)))] if alone else []
    for threshold in sorted({point.threshold for point in cascades.values()}):
        keys = [key for key, point in cascades.items() if point.threshold == threshold]
        judges.append(JudgeToUse(CASCADE, keys, cascade_spec(plan, pack.labels, threshold)))
    return judges


def _cost(
    choice: Mapping[str, Any],
    labels: Labels,
    found: Sequence[Replacement],
    cascades: Cascades,
    speed: float | None,
) -> CostFigures:
    shares = list(shares_asked(found, cascades).values())
    lows = [each.value if each.low is None else each.low for each in shares]
    highs = [each.value if each.high is None else each.high for each in shares]
    asked = Estimate(float(np.mean([each.value for each in shares])))
    if lows != highs:
        asked = replace(asked, low=float(np.mean(lows)), high=float(np.mean(highs)))
    paid = labels.price is not None
    return CostFigures(
        int(choice["candidates"]) - labels.rows,
        labels.price if paid else choice["estimated_price"],
        paid,
        asked,
        speed,
    )


def _write(
    plan: DistillPlan,
    figures: DistillFigures,
    table: ScoreTable,
    pack: TrainedPack,
    audited: Audited,
) -> None:
    from inspector_plugin.report.html import as_html

    document = distill_document(figures)
    text = io.StringIO()
    print_document(document, {**figures_to_json(figures), "seed": plan.seed}, "json", text)
    page = _page(plan, document, table, pack, audited)
    judges = [asdict(each) for each in figures.judges]
    for path, content in (
        (plan.judges, json.dumps(judges, indent=1) + "\n"),
        (plan.summary, text.getvalue()),
        (plan.markdown, as_markdown(document)),
        (plan.report, as_html(page)),
    ):
        # An unpaired surrogate cannot be encoded; a question mark shows that something was there.
        write_whole(path, content.encode("utf-8", "replace"))


def _page(
    plan: DistillPlan,
    document: Document,
    table: ScoreTable,
    pack: TrainedPack,
    audited: Audited,
) -> Document:
    """The page: the conclusions, then the audits, the pack, and the usual report on the held-out
    responses.
    """
    report = build_report(
        table,
        ReportOptions(
            title=document.title,
            reference=plan.reference.name,
            seed=plan.seed,
            resamples=plan.resamples,
        ),
    )
    probes = pack_document(pack_card(pack), "The probes, in nested cross-validation").sections
    return replace(
        report,
        facts=[*document.facts, *report.facts],
        sections=[*document.sections, *audited.sections, *probes, *report.sections],
        about_responses=f"On held-out problems. {report.about_responses}",
    )

"""What came of distilling a judge, in words and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inspector_plugin.agreement.bars import Bar, Figures, figures_of
from inspector_plugin.agreement.baselines import LENGTH
from inspector_plugin.agreement.cascade_choice import (
    CASCADE,
    CHEAP,
    DEAR,
    LEAST_SAVED,
    route_of,
)
from inspector_plugin.agreement.comparison import FEW_PROBLEMS, FEW_ROWS
from inspector_plugin.agreement.replacement import DEFAULT_BAR
from inspector_plugin.report.distill_figures import DistillFigures
from inspector_plugin.report.document import (
    Cell,
    Column,
    Document,
    Missing,
    Section,
    Table,
    written,
)
from inspector_plugin.report.statistic_names import NAMES

# The section that a terminal is not shown: it would break specifications into lines.
JUDGES = "judges"
_MINUTE, _HOUR = 60.0, 3600.0


def distill_document(figures: DistillFigures) -> Document:
    """Build the tables that the command prints and the report begins with."""
    sections = [_verdict_section(figures)]
    if figures.cascades:
        sections.append(_cascade_section(figures))
    if figures.judges:
        sections.append(_judges_section(figures))
    sections += [_cost_section(figures), _labels_section(figures), _audits_section(figures)]
    facts = [
        ("Labels", f"{figures.labels.training + figures.labels.held_out:,}"),
        ("May replace it on", ", ".join(figures.routed(CHEAP)) or "nothing"),
    ]
    return Document(f"A judge distilled from {figures.reference}", facts, sections)


def verdict_words(figures: DistillFigures) -> str:
    """Say in a sentence or two whether the distilled judge may replace the reference."""
    good = figures.routed(CHEAP)
    bad = [each.key for each in figures.found if not each.may_replace]
    if not bad:
        return f"Yes, the distilled judge may replace {figures.reference} on {', '.join(good)}."
    if not good:
        return (
            f"No, the distilled judge may not replace {figures.reference} on any criterion "
            f"({', '.join(bad)})."
        )
    return (
        f"In part. The distilled judge may replace {figures.reference} on {', '.join(good)}; it "
        f"may not on {', '.join(bad)}."
    )


def rule_words(bars: Sequence[Bar]) -> str:
    """The rule, in words."""
    wanted = " and ".join(_bar_words(bar) for bar in bars)
    default = (
        ' (the default: where "substantial" agreement begins by convention)'
        if tuple(bars) == (DEFAULT_BAR,)
        else ""
    )
    return (
        f"The rule: on responses to held-out problems {wanted}{default}. Nor may a data set with "
        f"{FEW_ROWS} responses to {FEW_PROBLEMS} problems or more miss it with the figure itself. "
        "With one reference alone there is no alternative annotator test, which takes three "
        "annotators. Audits count for nothing in the rule: read them as well."
    )


def _bar_words(bar: Bar) -> str:
    end, how = ("lower", "at least") if bar.is_least else ("upper", "at most")
    return f"the {end} end of the 95% interval of {_name(bar.figure)} must be {how} {bar.value:g}"


def _name(figure: str) -> str:
    return figure.replace("_", " ")


def _verdict_section(figures: DistillFigures) -> Section:
    lines = [verdict_words(figures), rule_words(figures.bars)]
    if figures.quality == "binary":
        lines.append(
            "The probes tell low from high quality only: too few labels of some kinds for the "
            "whole scale, or --probe-labels binary."
        )
    lines += [f"{each.key}: no probe ({each.why_not})." for each in figures.found if each.why_not]
    lines += [
        f"{each.key}: refused for the data set {', '.join(each.missed_datasets)}."
        for each in figures.found
        if each.clears and each.missed_datasets
    ]
    names = list(dict.fromkeys([*(bar.figure for bar in figures.bars), "accuracy"]))[:2]
    tables = [_criteria_table(figures, names)]
    if any(each.datasets for each in figures.found):
        tables.append(_datasets_table(figures, names[0]))
    return Section("conclusion", "Conclusion", "\n".join(lines), tables)


def _criteria_table(figures: DistillFigures, names: Sequence[str]) -> Table:
    rows: list[list[Cell]] = []
    for each in figures.found:
        found = each.comparison
        route = route_of(each, figures.cascades)
        if found is None:
            rows.append([each.key, route, 0, *(None for _ in names), None])
            continue
        length = found.baselines.get(LENGTH, {}).get(names[0])
        cells = [_figure(figures_of(found), name) for name in names]
        rows.append([each.key, route, found.n, *cells, length])
    return Table(
        f"The distilled judge and {figures.reference} on held-out problems",
        [
            Column("criterion"),
            Column("judged by"),
            Column("n", "count"),
            *(Column(NAMES.get(name, _name(name)), "share") for name in names),
            Column("length only", "share"),
        ],
        rows,
        f"n: responses that both scored. [95% interval, by problem] length only: "
        f"{_name(names[0])} of a judge that knows nothing but the length.",
    )


def _figure(figures: Figures, name: str) -> Cell:
    estimate = figures.estimates.get(name)
    if estimate is None:
        reason = figures.reasons.get(name, "it is not defined")
        return Missing(f"{figures.key}: {reason}")
    return estimate


def _datasets_table(figures: DistillFigures, name: str) -> Table:
    rows: list[list[Cell]] = [
        [
            each.key,
            dataset,
            verdict.answer,
            verdict.comparison.n,
            verdict.comparison.statistics.get(name),
        ]
        for each in figures.found
        for dataset, verdict in each.datasets.items()
    ]
    return Table(
        "By data set",
        [
            Column("criterion"),
            Column("data set"),
            Column("clears"),
            Column("n", "count"),
            Column(NAMES.get(name, _name(name)), "share"),
        ],
        rows,
        "not shown: too few responses to tell, or the interval reaches below the bar.",
    )


def _cascade_section(figures: DistillFigures) -> Section:
    rows: list[list[Cell]] = [
        [key, point.threshold, point.asked, point.saved.value, point.agreement]
        for key, point in figures.cascades.items()
    ]
    figure = _name(figures.bars[0].figure)
    lead = (
        f"Ask {figures.reference} where the distilled judge is less sure than the threshold: so it "
        f"may be used on {', '.join(figures.cascades)}."
    )
    table = Table(
        f"The distilled judge, then {figures.reference}",
        [
            Column("criterion"),
            Column("threshold", "share"),
            Column("asked", "share"),
            Column("saved", "share"),
            Column(figure, "share"),
        ],
        rows,
        f"asked: share of the scores that {figures.reference} is asked for; saved: the others; "
        f"{figure}: of the cascade with {figures.reference}. The thresholds are chosen on the "
        "held-out responses, by the lower end of the interval.",
    )
    return Section("cascade", "The cascade that may", lead, [table])


def _judges_section(figures: DistillFigures) -> Section:
    rows: list[list[Cell]] = [
        [each.name, ", ".join(each.criteria), f"--judge '{each.spec}'"] for each in figures.judges
    ]
    columns = [Column("judge"), Column("for"), Column("flag", "code")]
    return Section(JUDGES, "Judges to use", "", [Table("Their specifications", columns, rows)])


def judge_flags(figures: DistillFigures) -> list[str]:
    """The flags that name the judges to use, a line for each, to be copied as they are."""
    return [
        f"{each.name} ({', '.join(each.criteria)}): --judge '{each.spec}'"
        for each in figures.judges
    ]


def _cost_section(figures: DistillFigures) -> Section:
    cost = figures.cost
    asked = {0.0: "none", 1.0: "all"}.get(cost.asked.value, written(cost.asked, "share"))
    said = [f"{cost.rows:,} rows have no labels. The reference still gives {asked} of the scores."]
    whole, planned, saved = cost.of_reference, cost.as_planned, cost.saved
    if whole is None or planned is None or saved is None:
        said.append("The reference's price is not known, so that nothing is said in dollars.")
    else:
        price = "what the labels did cost" if cost.price_is_paid else "an estimate"
        interval = (
            ""
            if planned.low is None or planned.high is None or planned.low == planned.high
            else f" [{dollars(planned.low)}, {dollars(planned.high)}]"
        )
        said.append(
            f"Judging them: {dollars(planned.value)}{interval} in place of {dollars(whole)} by "
            f"{figures.reference} alone; {dollars(saved)} saved ({price}: {cost.price:.6f} US "
            "dollars a row)."
        )
    spent = figures.labels.spent
    if spent is not None:
        said.append(f"The labels have cost {dollars(spent)}.")
    if cost.seconds is not None and cost.rows_per_second is not None:
        said.append(
            f"The distilled judge takes {duration(cost.seconds)} for them on this machine "
            f"({cost.rows_per_second:.1f} rows per second)."
        )
    return Section("cost", "What judging the rest costs", "\n".join(said))


def _labels_section(figures: DistillFigures) -> Section:
    labels = figures.labels
    said = [
        f"{labels.training + labels.held_out:,} of {labels.candidates:,} rows: "
        f"{labels.training:,} to train on, {labels.held_out:,} on held-out problems. "
        f"{labels.guided_by}",
    ]
    if labels.missing:
        reasons = "; ".join(f"{count} times: {reason}" for reason, count in labels.reasons.items())
        said.append(f"{labels.missing} scores are missing ({reasons}).")
    if labels.left_out:
        left_out = "; ".join(f"{reason}: {count}" for reason, count in labels.left_out.items())
        said.append(f"Rows left out: {left_out}.")
    return Section("labels", "What was labelled", "\n".join(said))


def _audits_section(figures: DistillFigures) -> Section:
    return Section("audits", "Audits", "\n".join(figures.audits))


def dollars(amount: float) -> str:
    """Write an amount of US dollars, small ones with the digits that they need."""
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"


def duration(seconds: float) -> str:
    """Write how long something takes, to two digits or so."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} seconds"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} minutes"
    return f"{seconds / _HOUR:.1f} hours"


def figures_to_json(figures: DistillFigures) -> dict[str, Any]:
    """All figures as plain values and dataclasses, for JSON."""
    cost = figures.cost
    return {
        "reference": figures.reference,
        "verdict": verdict_words(figures),
        "rule": rule_words(figures.bars),
        "bars": figures.bars,
        "probe_labels": figures.quality,
        "judges": figures.judges,
        "criteria": {
            each.key: {
                "judged_by": route_of(each, figures.cascades),
                "may_replace": each.may_replace,
                "why_no_probe": each.why_not,
                "checks": [check.said for check in each.checks],
                "n": 0 if each.comparison is None else each.comparison.n,
                "statistics": {} if each.comparison is None else each.comparison.statistics,
                "baselines": {} if each.comparison is None else each.comparison.baselines,
                "datasets": {
                    name: {
                        "clears": verdict.answer,
                        "words": verdict.words,
                        "n": verdict.comparison.n,
                        "statistics": verdict.comparison.statistics,
                    }
                    for name, verdict in each.datasets.items()
                },
            }
            for each in figures.found
        },
        "cascades": figures.cascades,
        "least_saved": LEAST_SAVED,
        "by_reference_alone": figures.routed(DEAR),
        "by_cascade": figures.routed(CASCADE),
        "cost": {
            "rows": cost.rows,
            "price": cost.price,
            "price_is_paid": cost.price_is_paid,
            "asked": cost.asked,
            "reference_alone": cost.of_reference,
            "as_planned": cost.as_planned,
            "saved": cost.saved,
            "rows_per_second": cost.rows_per_second,
        },
        "labels": figures.labels,
        "audits": figures.audits,
    }

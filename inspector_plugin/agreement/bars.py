"""Bars that agreement must clear, as a continuous-integration job checks them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import OVERALL
from inspector_plugin.agreement.comparison import Comparison
from inspector_plugin.agreement.statistics import ALL_STATISTICS
from inspector_plugin.data.files import read_json
from inspector_plugin.errors import DataError, OptionError, one_of
from inspector_plugin.schema.criteria import TOTAL

COVERAGE, SLOPE, AUC = "coverage", "length_slope", "auc"
FIGURES = (*ALL_STATISTICS, COVERAGE, SLOPE, AUC)


@dataclass(frozen=True)
class Bar:
    """What a figure must not fall short of, or not exceed.

    Attributes:
        figure: One of `FIGURES`.
        value: The bar.
        is_least: Whether the figure must be at least as high; else at most.
    """

    figure: str
    value: float
    is_least: bool = True

    @staticmethod
    def parse(text: str, *, is_least: bool = True) -> Bar:
        """Read a bar such as quadratic_kappa=0.4.

        Raises:
            OptionError: If it is malformed, or the figure is unknown.
        """
        flag = "--min" if is_least else "--max"
        name, separator, value = text.partition("=")
        if not separator:
            raise OptionError(f"{flag} {text!r:.60}: write FIGURE=NUMBER, as quadratic_kappa=0.4.")
        if name not in FIGURES:
            raise OptionError(f"{flag}: {one_of(name, FIGURES, 'figure')}")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise OptionError(f"{flag} {text!r:.60}: {value!r:.40} is not a number.")
        return Bar(name, number, is_least)


@dataclass(frozen=True)
class Figures:
    """The figures of one judge on one criterion.

    Attributes:
        judge: The judge.
        key: The criterion, "overall" or "total".
        estimates: The figures; None for one that is not defined.
        reasons: Why figures are missing.
    """

    judge: str
    key: str
    estimates: Mapping[str, Estimate | None]
    reasons: Mapping[str, str]


def figures_of(found: Comparison) -> Figures:
    """The figures of a comparison that bars may be for."""
    estimates = {**found.statistics, COVERAGE: found.coverage, SLOPE: found.length_slope}
    return Figures(found.judge, found.key, estimates, found.undefined)


@dataclass(frozen=True)
class Checked:
    """Whether figures clear a bar, and why in words."""

    clears: bool
    said: str


def check(figures: Figures, bar: Bar) -> Checked:
    """Hold a figure against a bar: it is the end of the interval that must clear it.

    A figure that is missing, or has no interval, clears nothing.
    """
    what = f"{figures.judge}, {figures.key}: {bar.figure}"
    estimate = figures.estimates.get(bar.figure)
    if estimate is None:
        reason = figures.reasons.get(bar.figure, "it is not among the figures")
        return Checked(False, f"{what} is not defined ({reason}), wanted {_wanted(bar)}")
    if estimate.low is None or estimate.high is None:
        reason = figures.reasons.get(bar.figure, "the figure was computed without one")
        return Checked(
            False, f"{what} {estimate.value:.3f} has no interval ({reason}), wanted {_wanted(bar)}"
        )
    end = estimate.low if bar.is_least else estimate.high
    clears = end >= bar.value if bar.is_least else end <= bar.value
    shown = f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
    side = "lower" if bar.is_least else "upper"
    verb = "clears" if clears else "misses"
    return Checked(clears, f"{what} {shown}: the {side} end {verb} the bar, {_wanted(bar)}")


def chosen_figures(
    found: Sequence[Figures], keys: Sequence[str] | None, *, each: bool
) -> list[Figures]:
    """Choose the figures to hold against the bars.

    Args:
        found: All of them.
        keys: The criteria asked for.
        each: Whether those of every criterion, not of all together alone.

    Raises:
        DataError: If there are none.
    """
    known = {figures.key for figures in found}
    for key in keys or ():
        if key not in known:
            raise DataError(one_of(key, known, "criterion of the figures"))
    chosen = []
    for judge in dict.fromkeys(figures.judge for figures in found):
        own = [figures for figures in found if figures.judge == judge]
        if keys:
            chosen += [figures for figures in own if figures.key in keys]
        elif each:
            chosen += own
        else:
            summary = [figures for figures in own if figures.key in (OVERALL, TOTAL)]
            chosen += summary or own
    if not chosen:
        raise DataError("There are no figures to hold against a bar.")
    return chosen


def saved_figures(path: Path) -> list[Figures]:
    """Read figures that have been computed before.

    These are `inspector agree --format json`, `inspector score --summary`, and lm_eval's results of
    our tasks.

    Raises:
        DataError: If the file is none of these.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {path}: {error}.") from error
    found = list(_judges_of(content)) if isinstance(content, Mapping) else []
    figures = [
        Figures(judge, str(key), *_read(values, f"{path}: {judge}, {key}"))
        for judge, criteria in found
        if isinstance(criteria, Mapping)
        for key, values in criteria.items()
        if isinstance(values, Mapping)
    ]
    if not figures:
        raise DataError(
            f"{path} holds no agreement; give files of scores, what `inspector agree --format "
            "json` or `inspector score --summary` wrote, or lm_eval's results of a run with a "
            "reference."
        )
    return figures


def _wanted(bar: Bar) -> str:
    return f"{'at least' if bar.is_least else 'at most'} {bar.value:g}"


def _judges_of(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The agreement of each judge in whatever file of ours this is."""
    found: list[tuple[str, Any]] = []
    agreement = content.get("agreement")
    for entry in agreement if isinstance(agreement, list) else ():
        found.append((str(entry.get("judge")), entry.get("criteria")))
    outcomes = content.get("outcomes")
    for entry in outcomes if isinstance(outcomes, list) else ():
        figures = {name: entry.get(name) for name in (AUC, "spearman")}
        reasons = {"undefined": {AUC: str(entry.get("reason"))}}
        judge = f"{entry.get('judge')} ({entry.get('outcome')})"
        found.append((judge, {str(entry.get("key")): {**figures, **reasons}}))
    judges = content.get("judges")
    for name, entry in judges.items() if isinstance(judges, Mapping) else ():
        if isinstance(entry, Mapping) and "agreement" in entry:
            found.append((str(name), _with_coverage(entry)))
    configs = content.get("configs")
    for task, config in configs.items() if isinstance(configs, Mapping) else ():
        compared = config.get("agreement") if isinstance(config, Mapping) else None
        scores = config.get("scores", {}) if isinstance(config, Mapping) else {}
        if isinstance(compared, Mapping) and isinstance(compared.get("judges"), Mapping):
            for name, criteria in compared["judges"].items():
                entry = {**scores.get(name, {}), "agreement": criteria}
                found.append((f"{task}, {name}", _with_coverage(entry)))
    return found


def _with_coverage(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The agreement of a summary, with the coverage that stands beside it, without an interval."""
    criteria = summary.get("criteria", {})
    shares = {**(criteria if isinstance(criteria, Mapping) else {})}
    shares[OVERALL] = summary.get("overall", {})
    return {
        key: {**values, COVERAGE: {"value": shares.get(key, {}).get("coverage")}}
        for key, values in summary["agreement"].items()
        if isinstance(values, Mapping)
    }


def _read(
    values: Mapping[str, Any], where: str
) -> tuple[dict[str, Estimate | None], dict[str, str]]:
    estimates: dict[str, Estimate | None] = {}
    for name in FIGURES:
        given = values.get(name)
        if not isinstance(given, Mapping) or given.get("value") is None:
            estimates[name] = None
            continue
        numbers = {each: given.get(each) for each in ("value", "low", "high")}
        if not all(number is None or type(number) in (int, float) for number in numbers.values()):
            raise DataError(f"{where}: {name} is not made of numbers.")
        value = float(given["value"])
        if name == COVERAGE and numbers["low"] is None and "stderr" not in given:
            # What was counted: the share of all that was asked.
            estimates[name] = Estimate(value, value, value)
            continue
        estimates[name] = Estimate(value, numbers["low"], numbers["high"])
    undefined = values.get("undefined")
    reasons = {
        str(name): str(reason)
        for name, reason in (undefined.items() if isinstance(undefined, Mapping) else ())
    }
    return estimates, reasons

"""From the scores of an audit to its findings: what each edit does, and whether it should."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.audits.edits import LOWER, SAME, Edit
from inspector_plugin.audits.effects import (
    FEWEST_PROBLEMS,
    Shift,
    false_discovery,
    mean_shift,
    p_above,
)
from inspector_plugin.audits.intervals import clustered_share, effective_size
from inspector_plugin.audits.run import MARGIN
from inspector_plugin.audits.scores import Scores
from inspector_plugin.audits.stability import Stability, changed_labels, stability_of

# What a finding comes to: a fault, none, or a sample that cannot tell.
FAULT, NO_FAULT, OPEN = "fault", "no fault", "open"
FALSE_DISCOVERIES = 0.05
# Shifts below this share of the scale are no fault, however certain they are.
TOLERANCE = 0.025
# The share of labels that an edit without a meaning may change.
LABELS_ALLOWED = 0.05
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Finding:
    """What an edit does to the scores of one criterion, or of what is made of several.

    Attributes:
        edit: The edit's key.
        measure: The criterion's key, "a+b" for a mean, "total".
        expected: What a fair judge does: "same", "no rise" or "lower".
        pairs: Number of edited responses that have a score beside the unedited one's.
        unscored: Number of those that lack one of the two, and are left out.
        shift: The mean difference, edited less unedited; None if there are no pairs.
        lower: The share of pairs whose edited response scores lower.
        labels_changed: The share of pairs whose label changes; None where there are no labels.
        labels_raised: The share of pairs whose label rises.
        q: The share of false discoveries at which a shift as asked about (any, a rise, a fall)
            counts as one.
        q_labels: The same of more labels being changed ("same") or raised ("no rise") than allowed.
        verdict: "fault", "no fault" or "open".
        words: What was found, in a few words that follow the measure's name.
        largest: The numbers of the rows with the largest shifts against what is expected, with the
            scores before and after.
    """

    edit: str
    measure: str
    expected: str
    pairs: int
    unscored: int
    shift: Shift | None
    lower: Estimate | None
    labels_changed: Estimate | None
    labels_raised: Estimate | None
    q: float | None = None
    q_labels: float | None = None
    verdict: str = OPEN
    words: str = ""
    largest: tuple[tuple[int, float, float], ...] = ()


@dataclass(frozen=True)
class EditReport:
    """An edit, and all that was found of it.

    Attributes:
        edit: The edit.
        made: Number of responses that it was made of.
        findings: One for each measure.
        labels_changed: The share of labels that change, over all criteria; None without labels.
        verdict: "fault" if any finding is one, else "open" if any is, else "no fault".
        words: The verdict in a sentence or two.
    """

    edit: Edit
    made: int
    findings: Sequence[Finding]
    labels_changed: Estimate | None
    verdict: str
    words: str


@dataclass(frozen=True)
class FileReport:
    """The findings of an audit.

    Attributes:
        edits: One report for each edit.
        stability: For each measure, if responses were judged again.
        rows: Number of rows.
        problems: Number of problems.
        scores: Where the figures come from.
        tolerance: The share of the scale below which shifts are no fault.
    """

    edits: Sequence[EditReport]
    stability: Sequence[Stability]
    rows: int
    problems: int
    scores: Scores
    tolerance: float

    @property
    def faults(self) -> list[EditReport]:
        """The edits that show a fault of the judge."""
        return [each for each in self.edits if each.verdict == FAULT]


def findings_of(
    scores: Scores, edits: Mapping[str, Edit], tolerance: float = TOLERANCE
) -> FileReport:
    """Work out the findings of an audit.

    The p-values of an audit are adjusted by Benjamini and Hochberg's procedure, those of edits that
    should change nothing apart from those that should lower scores: a judge that rightly notices
    many errors gains no licence for false accusations elsewhere.

    Args:
        scores: The scores.
        edits: The edits by key.
        tolerance: The share of the scale below which shifts are no fault.
    """
    problems = scores.problems()
    stability = [stability_of(scores, measure, problems) for measure in scores.measures]
    noise = {
        each.measure: each.labels_changed.value
        for each in stability
        if each.labels_changed is not None
    }
    raw = [
        _finding(scores, edit, measure, problems, noise.get(measure, 0.0))
        for edit in edits.values()
        for measure in scores.measures
    ]
    decided = []
    for finding in _adjusted(raw):
        verdict, words = _decide(finding, scores.span(finding.measure), tolerance)
        decided.append(replace(finding, verdict=verdict, words=words))
    return FileReport(
        [_report(edit, scores, decided, problems) for edit in edits.values()],
        stability if scores.repeats else [],
        len(scores.numbers),
        len(set(problems.tolist())),
        scores,
        tolerance,
    )


def _adjusted(raw: Sequence[tuple[Finding, float | None]]) -> Iterator[Finding]:
    """Adjust p-values within each family; see `findings_of`."""
    families: dict[bool, list[float | None]] = {True: [], False: []}
    for finding, p_labels in raw:
        families[finding.expected == LOWER] += [_p_value(finding), p_labels]
    adjusted = {each: iter(false_discovery(values)) for each, values in families.items()}
    for finding, _ in raw:
        values = adjusted[finding.expected == LOWER]
        yield replace(finding, q=next(values), q_labels=next(values))


def _p_value(finding: Finding) -> float | None:
    """The p-value of a shift in the direction that is asked about: the other one is no discovery.

    It is the two-sided one, so that a finding never says more than its interval.
    """
    shift = finding.shift
    if shift is None or shift.p is None or finding.expected == SAME:
        return None if shift is None else shift.p
    is_asked = shift.mean.value < 0 if finding.expected == LOWER else shift.mean.value > 0
    return shift.p if is_asked else 1.0


def _finding(
    scores: Scores, edit: Edit, measure: str, problems: NDArray[np.intp], noise: float
) -> tuple[Finding, float | None]:
    """Compute the figures of an edit and a measure, and the p-value of its labels."""
    edited = scores.edited[edit.key]
    made = np.frombuffer(bytes(edited.made), dtype=np.bool_)
    before, after = scores.original.scores(measure), edited.scores(measure)
    paired = ~np.isnan(before) & ~np.isnan(after)
    differences = (after - before)[paired]
    differences[np.abs(differences) <= _ROUNDING] = 0.0
    clusters = problems[paired].tolist()
    expected = edit.expected(measure)
    labels = (edited.labels(measure) - scores.original.labels(measure))[paired]
    labelled = bool(len(labels)) and not np.isnan(labels).any()
    p_labels = None
    if labelled and expected != LOWER:
        counted = (labels != 0 if expected == SAME else labels > 0).tolist()
        allowed = LABELS_ALLOWED + (noise if expected == SAME else noise / 2)
        size = effective_size(counted, clusters)
        p_labels = None if size is None else p_above(float(np.mean(counted)), size, allowed)
    return Finding(
        edit.key,
        measure,
        expected,
        len(differences),
        int(made.sum()) - len(differences),
        mean_shift(differences, problems[paired]),
        clustered_share((differences < 0).tolist(), clusters),
        clustered_share((labels != 0).tolist(), clusters) if labelled else None,
        clustered_share((labels > 0).tolist(), clusters) if labelled else None,
        largest=_largest(np.flatnonzero(paired), before, after, expected, scores.numbers),
    ), p_labels


def _largest(
    rows: NDArray[np.intp],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    expected: str,
    numbers: Sequence[int],
    most: int = 3,
) -> tuple[tuple[int, float, float], ...]:
    moved = after[rows] - before[rows]
    against = np.abs(moved) if expected == SAME else moved
    order = np.argsort(-against, kind="stable")[:most]
    return tuple(
        (numbers[row], round(float(before[row]), 6), round(float(after[row]), 6))
        for row in rows[order[against[order] > _ROUNDING]]
    )


def _decide(finding: Finding, span: float, tolerance: float) -> tuple[str, str]:
    """Say what a finding comes to."""
    shift = finding.shift
    if shift is None:
        return OPEN, "has no scores to compare"
    if shift.problems < FEWEST_PROBLEMS or shift.p is None or finding.q is None:
        return OPEN, f"has scores on {shift.problems} problems, too few to tell"
    mean = shift.mean.value
    discovered = finding.q <= FALSE_DISCOVERIES and abs(mean) >= tolerance * span
    if finding.expected == LOWER:
        return _decide_lower(shift, discovered, span, tolerance)
    if discovered:
        return FAULT, f"{'rises' if mean > 0 else 'falls'} by {abs(mean):.2f}"
    if finding.q_labels is not None and finding.q_labels <= FALSE_DISCOVERIES:
        share = finding.labels_changed if finding.expected == SAME else finding.labels_raised
        assert share is not None
        how = "changed" if finding.expected == SAME else "raised"
        return FAULT, f"has {share.value:.0%} of its labels {how}"
    return _unless_too_small(finding.expected, shift, span)


def _decide_lower(shift: Shift, falls: bool, span: float, tolerance: float) -> tuple[str, str]:
    if falls:
        return NO_FAULT, f"falls by {-shift.mean.value:.2f}"
    low, high = shift.mean.low, shift.mean.high
    assert low is not None
    assert high is not None
    if low > -MARGIN * span and high >= 0:
        return FAULT, f"does not fall ({shift.mean.value:+.2f})"
    if low > -tolerance * span:
        return FAULT, f"hardly falls ({shift.mean.value:+.2f})"
    return OPEN, f"may fall ({shift.mean.value:+.2f}): the sample is too small to tell"


def _unless_too_small(expected: str, shift: Shift, span: float) -> tuple[str, str]:
    """Say that scores stay, if shifts that matter can be ruled out."""
    low, high = shift.mean.low, shift.mean.high
    assert low is not None
    assert high is not None
    if high < MARGIN * span and (expected != SAME or low > -MARGIN * span):
        return NO_FAULT, "stays" if expected == SAME else "does not rise"
    least = "" if shift.detectable is None else f" (shown would be {shift.detectable:.2f})"
    return OPEN, f"may {'move' if expected == SAME else 'rise'}{least}"


def _report(
    edit: Edit, scores: Scores, findings: Iterable[Finding], problems: NDArray[np.intp]
) -> EditReport:
    own = [each for each in findings if each.edit == edit.key]
    made = sum(scores.edited[edit.key].made)
    verdicts = {each.verdict for each in own}
    verdict = next(each for each in (FAULT, OPEN, NO_FAULT) if each in verdicts or not own)
    changed: list[bool] = []
    clusters: list[int] = []
    for key in scores.criteria:
        some = changed_labels(scores.original, [scores.edited[edit.key]], key, problems)
        changed += some[0]
        clusters += some[1]
    return EditReport(
        edit,
        made,
        own,
        clustered_share(changed, clusters),
        verdict,
        _in_words(own, verdict, made),
    )


def _in_words(findings: Sequence[Finding], verdict: str, made: int) -> str:
    """Say the verdict in a sentence."""
    if not made:
        return "This edit could be made of no response."
    told = [each for each in findings if each.verdict == verdict]
    if verdict == NO_FAULT:
        told = [each for each in told if each.expected == LOWER]
    said = "; ".join(f"{each.measure} {each.words}" for each in told)
    lead = {FAULT: "Fault", OPEN: "Cannot tell", NO_FAULT: "As it should be"}[verdict]
    return f"{lead}: {said}." if said else "No fault found."

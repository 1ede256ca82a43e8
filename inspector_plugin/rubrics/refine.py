"""Refining a rubric without training.

In each round, on a development split: items that nearly every response meets are split; items that
prefer worse responses, or repeat another, are dropped; weights are fitted to labels by ridge
regression, or come from the verdicts' covariance where there are no labels. Then a generator
rewrites the rubric K times, a meta-judge rates the rewrites, and the best is cleaned in the same
way. What results takes the place of the rubric only if it does better on a held split.

Source: splitting, dropping and whitening are those of RRD (arXiv 2602.05125); the meta-judge's four
qualities and K = 8 those of Dynamic Rubrics (2605.30568). Accepting on a held split is ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.judges.prompt.messages import Refusal
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.rubrics import refine_log as log
from inspector_plugin.rubrics.merge import alike_in_verdicts, merged_by_text
from inspector_plugin.rubrics.meta_judge import rated
from inspector_plugin.rubrics.propose import Items, Shown, renamed, rewrite_ask, split_ask
from inspector_plugin.rubrics.refine_log import Entry
from inspector_plugin.rubrics.rewards import LABELS, best_of
from inspector_plugin.rubrics.split import Split, signed
from inspector_plugin.rubrics.weights import (
    RIDGE,
    WHITENING,
    ridge_weights,
    whitening_weights,
)
from inspector_plugin.rubrics.writer import Writer
from inspector_plugin.schema.rubrics import MOST_ITEMS, RubricItem, normal_text

Floats = NDArray[np.float64]
NEARLY_ALWAYS = 0.95
REPEATS = 0.9
REWRITES, ROUNDS = 8, 2
_BOUNDS = (5, 12)


@dataclass(frozen=True)
class Settings:
    """How a rubric is refined.

    Attributes:
        rounds: How many rounds.
        rewrites: The K of each round; 0 for none.
        lines: Whether the generator is asked for lines in place of JSON.
        seed: Seed of what the generator is shown.
    """

    rounds: int = ROUNDS
    rewrites: int = REWRITES
    lines: bool = False
    seed: int = 0


@dataclass
class Refined:
    """A rubric that was refined.

    Attributes:
        items: Its items.
        log: What was done, in order.
        first: Accuracy on the held split before; None if it is not defined.
        last: Accuracy on the held split after.
    """

    items: Items
    log: list[Entry] = field(default_factory=list)
    first: float | None = None
    last: float | None = None


class Refiner:
    """Refines the items of one rubric."""

    def __init__(
        self,
        dev: Split,
        held: Split,
        writer: Writer,
        meta_judge: Judge,
        cache: JudgeCache | None,
        settings: Settings,
        taken: Sequence[str] = (),
    ) -> None:
        """Take the two splits and the models.

        Args:
            dev: What changes are made on.
            held: What they are accepted on; no problem of it is in `dev`.
            writer: The generator.
            meta_judge: Rates rewrites.
            cache: Where the meta-judge's judgements are kept.
            settings: How to refine.
            taken: Keys that no item may have, such as those of items for single problems.
        """
        self._dev, self._held = dev, held
        self._writer = writer
        self._meta_judge = meta_judge
        self._cache = cache
        self._settings = settings
        self._taken = tuple(taken)
        self._log: list[Entry] = []
        self._round = 0

    def refine(self, items: Items) -> Refined:
        """Refine a rubric.

        Args:
            items: Its items.

        Raises:
            JudgeError: If a model answers nothing at all any more.
        """
        first = last = self._held.accuracy(items)
        for number in range(1, self._settings.rounds + 1):
            self._round, before = number, len(self._log)
            cleaned = self._cleaned(self._split(items))
            if cleaned != items:
                items, last = self._settled(log.CLEANED, items, last, cleaned, before)
            if last == 1.0:
                self._note(log.KEPT, "every pair of the held split is in the right order")
                break
            if self._settings.rewrites:
                items, last = self._rewritten(items, last)
        return Refined(items, self._log, first, last)

    def _split(self, items: Items) -> Items:
        """Replace items that nearly every response meets by their parts."""
        means = self._dev.means(items)
        easy = [place for place in range(len(items)) if means[place] >= NEARLY_ALWAYS]
        if not easy:
            return items
        shown = [
            Shown(each.question)
            for each in self._dev.some_problems([self._settings.seed, self._round, 1])
        ]
        asks = [split_ask(items[place], shown, self._settings.lines) for place in easy]
        parts_of: dict[int, Items] = {}
        written = self._writer.write(asks, "Splitting items")
        for place, parts in zip(easy, written, strict=True):
            why = f"{means[place]:.0%} of the responses meet it"
            if isinstance(parts, Refusal):
                self._note(
                    log.SPLIT, f"{why}; not split: {parts.reason}", (items[place],), (), False
                )
                continue
            others = [*items, *(part for known in parts_of.values() for part in known)]
            parts = _apart(parts, others, self._taken)
            parts = tuple(replace(part, weight=items[place].weight / len(parts)) for part in parts)
            shares = self._dev.means(parts)
            if not len(parts) or shares.min() >= NEARLY_ALWAYS:
                why += "; its parts are met as often"
                self._note(log.SPLIT, why, (items[place],), parts, False)
                continue
            self._note(log.SPLIT, why, (items[place],), parts)
            parts_of[place] = parts
        flat = [part for place, item in enumerate(items) for part in parts_of.get(place, (item,))]
        return tuple(flat[:MOST_ITEMS])

    def _cleaned(self, items: Items) -> Items:
        """Drop items that prefer worse responses or repeat another, and weigh the others."""
        values = self._dev.table.values(items)
        worth = [self._dev.worth(values[:, place]) for place in range(len(items))]
        by = self._dev.preferences.by
        kept: list[int] = []
        for place in sorted(range(len(items)), key=lambda place: (-worth[place], place)):
            like = self._repeated(values, kept, place)
            if worth[place] < 0 and kept:
                why = f"it prefers the worse response (by {by}: {signed(worth[place])} a pair)"
                self._note(log.DROPPED, why, (items[place],), figures={"by": by})
            elif like is not None:
                why = f"it repeats (r = {like[1]:.2f}): {items[like[0]].text}"
                self._note(log.DROPPED, why, (items[place],))
            else:
                kept.append(place)
        order = sorted(kept)
        return self._weighed(tuple(items[place] for place in order), values[:, order])

    def _repeated(
        self, values: Floats, kept: Sequence[int], place: int
    ) -> tuple[int, float] | None:
        for other in kept:
            r = alike_in_verdicts(values[:, other], values[:, place])
            if r is not None and abs(r) > REPEATS:
                return other, r
        return None

    def _weighed(self, items: Items, values: Floats) -> Items:
        if self._dev.preferences.by == LABELS:
            rows = self._dev.table.rows
            labels = np.array([row.label for row in rows])
            weights = ridge_weights(values, labels, [row.problem.problem for row in rows])
            how, none = RIDGE, "no item follows the labels, or there are fewer than 8 responses"
        else:
            weights = whitening_weights(values)
            how, none = WHITENING, "there are fewer than 8 responses, or all verdicts are the same"
        if weights is None:
            self._note(log.REWEIGHTED, f"weights stay: {none}", accepted=False)
            return items
        weighed = tuple(
            replace(item, weight=round(float(weight), 3))
            for item, weight in zip(items, weights, strict=True)
        )
        if weighed != items:
            self._note(log.REWEIGHTED, f"by {how}", items, weighed)
        return weighed

    def _rewritten(self, items: Items, accuracy: float | None) -> tuple[Items, float | None]:
        """Have the rubric rewritten K times; try the rewrite that the meta-judge rates best."""
        findings = self._dev.findings(items)
        errors = self._dev.errors(items, [self._settings.seed, self._round])
        count = self._settings.rewrites
        first = (self._round - 1) * count  # each round attends to other things
        bounds = (min(_BOUNDS[0], len(items)), max(_BOUNDS[1], len(items)))
        asks = [
            rewrite_ask(findings, errors, number, bounds, self._settings.lines)
            for number in range(first, first + count)
        ]
        written = self._writer.write(asks, "Rewriting the rubric")
        failed = Counter(each.reason for each in written if isinstance(each, Refusal))
        readable = [self._named(each, items) for each in written if not isinstance(each, Refusal)]
        candidates = list(dict.fromkeys(each for each in readable if len(each) > 1))
        if not candidates:
            reason = failed.most_common(1)[0][0] if failed else "they have fewer than two items"
            why = f"none of {count} rewrites can be used: {reason}"
            self._note(log.REWRITTEN, why, accepted=False)
            return items, accuracy
        ratings = rated(
            self._dev.some_problems([self._settings.seed, self._round, 1]),
            candidates,
            self._meta_judge,
            self._cache,
        )
        best = best_of(ratings)
        if best is None:
            why = f"the meta-judge rated none of {len(candidates)} rewrites: {ratings[0].reason}"
            self._note(log.REWRITTEN, why, accepted=False)
            return items, accuracy
        before = len(self._log)
        cleaned = self._cleaned(candidates[best])
        figures = {
            "rewrites": count,
            "unreadable": sum(failed.values()),
            "different": len(candidates),
            "meta_judge_ratings": [rating.value for rating in ratings],
        }
        return self._settled(log.REWRITTEN, items, accuracy, cleaned, before, figures)

    def _settled(
        self,
        step: str,
        items: Items,
        accuracy: float | None,
        other: Items,
        since: int,
        figures: dict[str, object] | None = None,
    ) -> tuple[Items, float | None]:
        """Take another rubric in place of this one if it does better on the held split.

        One that was only cleaned is taken if it does as well: it says the same with less.
        """
        reached = self._held.accuracy(other)
        by, pairs = self._held.preferences.by, len(self._held.preferences)
        known = reached is not None and accuracy is not None
        is_better = known and (
            reached > accuracy + 1e-12 or (step == log.CLEANED and reached > accuracy - 1e-12)  # type: ignore[operator]
        )
        words = "better" if is_better and reached != accuracy else "no worse" if is_better else None
        why = (
            f"held split, {pairs} pairs by {by}: {_share(accuracy)} before, {_share(reached)} "
            f"after{'' if words is None else ', ' + words}"
        )
        said = {"by": by, "pairs": pairs, "before": accuracy, "after": reached, **(figures or {})}
        if not is_better:  # what led to it has come to nothing
            self._log[since:] = [
                replace(
                    entry, accepted=False, why=f"{entry.why}; undone, as '{step}' below was refused"
                )
                if entry.accepted
                else entry
                for entry in self._log[since:]
            ]
        self._note(step, why, items, other, bool(is_better), said)
        return (other, reached) if is_better else (items, accuracy)

    def _named(self, written: Items, items: Items) -> Items:
        """Leave repetitions out of a rewrite; statements that the rubric has keep their keys."""
        known = {normal_text(item.text): item for item in items}
        merged = [each.item for each in merged_by_text([written])]
        same = [known[text] for item in merged if (text := normal_text(item.text)) in known]
        return (*same, *_apart(merged, same, self._taken))

    def _note(
        self,
        step: str,
        why: str,
        before: Items = (),
        after: Items = (),
        accepted: bool = True,
        figures: dict[str, object] | None = None,
    ) -> None:
        entry = Entry(self._round, step, why, accepted, before, after, figures or {})
        self._log.append(entry)


def _apart(
    written: Sequence[RubricItem], others: Sequence[RubricItem], taken: Sequence[str]
) -> Items:
    """Leave out what other items say already, and name the rest apart from them."""
    said = {normal_text(item.text) for item in others}
    merged = [each.item for each in merged_by_text([written])]
    new = [item for item in merged if normal_text(item.text) not in said]
    return renamed(new, [*taken, *(item.key for item in others)])


def _share(accuracy: float | None) -> str:
    return "not defined" if accuracy is None else f"{accuracy:.3f}"

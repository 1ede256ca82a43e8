"""From a judge's verdicts on the items of a rubric to its score."""

from __future__ import annotations

from collections.abc import Mapping

from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import CriterionScore
from inspector_plugin.schema.rubrics import ItemVerdict, reachable_share


def rubric_score(
    criterion: Criterion,
    verdicts: Mapping[str, ItemVerdict],
    explanation: str | None = None,
    flags: tuple[str, ...] = (),
    *,
    transient: bool = False,
) -> CriterionScore:
    """Score a response by the verdicts on a rubric's items.

    What the response reaches of what the rubric can give (`reachable_share`) is mapped linearly to
    the criterion's scale: nothing to its lowest label, all to its highest. The label is the nearest
    one, halves rounded up.

    Args:
        criterion: The criterion, with items.
        verdicts: The verdicts by key of the item.
        explanation: What the judge wrote, or the raw reply that could not be read.
        flags: Remarks on the score.
        transient: Whether asking again may give a verdict on an item that was not read.

    Returns:
        The score with the verdicts beside it; without one, and with the reason, where an item was
        not read.
    """
    kept = {item.key: verdicts[item.key] for item in criterion.items if item.key in verdicts}
    share, reason = reachable_share(criterion.items, kept)
    if share is None:
        return CriterionScore(
            None,
            reason=reason,
            explanation=explanation,
            flags=flags,
            transient=transient,
            items=kept or None,
        )
    scale = criterion.scale
    score = scale.minimum + share * (scale.maximum - scale.minimum)
    return CriterionScore(
        score, scale.nearest(score), explanation=explanation, flags=flags, items=kept
    )

"""The built-in criteria `roscoe`: five qualities of reasoning, judged without a gold answer.

They follow the ROSCOE family as used by INSPECTOR (arXiv 2601.22588, section 4); the wording is
ours. The order is that of every table.
"""

from __future__ import annotations

from collections.abc import Iterable

from inspector_plugin.schema.criteria import MULTICLASS, Criterion


def _criterion(key: str, title: str, definition: str, *anchors: str) -> Criterion:
    return Criterion(
        key, title, definition, MULTICLASS, dict(zip(MULTICLASS.labels, anchors, strict=True))
    )


ROSCOE: tuple[Criterion, ...] = (
    _criterion(
        "semantic_consistency",
        "Semantic consistency",
        "Every step stays faithful to the facts and conditions that the problem gives.",
        "the steps contradict the problem or invent its facts",
        "several facts of the problem are changed or ignored",
        "the main facts are kept, but one is misread or dropped",
        "faithful to the problem apart from a slight imprecision",
        "every step uses the facts of the problem exactly as given",
    ),
    _criterion(
        "logicality",
        "Logicality",
        "Each inference and each calculation follows validly from what comes before.",
        "the reasoning is invalid or absent",
        "serious errors of inference or calculation decide the outcome",
        "partly valid, with an error or a gap that matters",
        "valid apart from a minor slip or an unexplained jump",
        "every inference and every calculation is valid",
    ),
    _criterion(
        "informativeness",
        "Informativeness",
        "The steps that a reader needs to verify the answer are all shown.",
        "no steps that support the answer",
        "most of the needed steps are missing or beside the point",
        "some needed steps are shown, others have to be guessed",
        "nearly all needed steps are shown",
        "all needed steps are shown, and nothing superfluous",
    ),
    _criterion(
        "fluency",
        "Fluency",
        "Language and notation read well, whether or not the content is correct.",
        "unreadable, broken off or garbled",
        "hard to follow, with frequent faults of language or notation",
        "understandable, but clumsy or repetitive",
        "clear, with a rare blemish",
        "clear, well organised and natural throughout",
    ),
    _criterion(
        "factuality",
        "Factuality",
        "What is claimed is true and supported by the problem or by common knowledge.",
        "the central claims are false",
        "several claims are false or unsupported",
        "a mixture of true and doubtful claims",
        "true apart from a minor inaccuracy",
        "every claim is true and supported",
    ),
)
ROSCOE_KEYS: tuple[str, ...] = tuple(criterion.key for criterion in ROSCOE)


def in_table_order(keys: Iterable[str]) -> list[str]:
    """Order the keys of criteria for tables: those built in as they stand here, then the others.

    Args:
        keys: The keys, in any number; the others keep their order.
    """
    given = list(dict.fromkeys(keys))
    return [key for key in ROSCOE_KEYS if key in given] + [k for k in given if k not in ROSCOE_KEYS]

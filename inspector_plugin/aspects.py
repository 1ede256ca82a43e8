"""The five aspects on which a reasoning response is judged, without a gold answer.

The aspects follow the ROSCOE family as used by INSPECTOR (arXiv 2601.22588, section 4); the wording
is ours. The order of `ASPECTS` is the order of every table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inspector_plugin.errors import OptionError, one_of


@dataclass(frozen=True)
class Aspect:
    """One quality of a reasoning response.

    Attributes:
        key: The name used in files, options and metrics.
        title: The name shown to people.
        definition: One sentence that says what is judged.
        criteria: What each score means, from 1 (worst) to 5 (best).
    """

    key: str
    title: str
    definition: str
    criteria: tuple[str, str, str, str, str]


ASPECTS: tuple[Aspect, ...] = (
    Aspect(
        key="semantic_consistency",
        title="Semantic consistency",
        definition="Every step stays faithful to the facts and conditions that the problem gives.",
        criteria=(
            "the steps contradict the problem or invent its facts",
            "several facts of the problem are changed or ignored",
            "the main facts are kept, but one is misread or dropped",
            "faithful to the problem apart from a slight imprecision",
            "every step uses the facts of the problem exactly as given",
        ),
    ),
    Aspect(
        key="logicality",
        title="Logicality",
        definition="Each inference and each calculation follows validly from what comes before.",
        criteria=(
            "the reasoning is invalid or absent",
            "serious errors of inference or calculation decide the outcome",
            "partly valid, with an error or a gap that matters",
            "valid apart from a minor slip or an unexplained jump",
            "every inference and every calculation is valid",
        ),
    ),
    Aspect(
        key="informativeness",
        title="Informativeness",
        definition="The steps that a reader needs to verify the answer are all shown.",
        criteria=(
            "no steps that support the answer",
            "most of the needed steps are missing or beside the point",
            "some needed steps are shown, others have to be guessed",
            "nearly all needed steps are shown",
            "all needed steps are shown, and nothing superfluous",
        ),
    ),
    Aspect(
        key="fluency",
        title="Fluency",
        definition="Language and notation read well, whether or not the content is correct.",
        criteria=(
            "unreadable, broken off or garbled",
            "hard to follow, with frequent faults of language or notation",
            "understandable, but clumsy or repetitive",
            "clear, with a rare blemish",
            "clear, well organised and natural throughout",
        ),
    ),
    Aspect(
        key="factuality",
        title="Factuality",
        definition="What is claimed is true and supported by the problem or by common knowledge.",
        criteria=(
            "the central claims are false",
            "several claims are false or unsupported",
            "a mixture of true and doubtful claims",
            "true apart from a minor inaccuracy",
            "every claim is true and supported",
        ),
    ),
)

ASPECT_KEYS: tuple[str, ...] = tuple(aspect.key for aspect in ASPECTS)
# Stands where an aspect's key stands for what a request's own rubric judges.
RUBRIC = "rubric"
TABLE_ORDER: tuple[str, ...] = (*ASPECT_KEYS, RUBRIC)
_BY_KEY = {aspect.key: aspect for aspect in ASPECTS}


def get_aspect(key: str) -> Aspect:
    """Return the aspect named `key`.

    Raises:
        OptionError: If there is no such aspect.
    """
    if key not in _BY_KEY:
        raise OptionError(one_of(key, ASPECT_KEYS, "aspect"))
    return _BY_KEY[key]


def parse_aspects(text: str | Iterable[str] | None) -> tuple[str, ...]:
    """Read a choice of aspects, as it comes from a flag or from metadata.

    Args:
        text: Comma-separated keys, or a sequence of keys; None or "all" for all five.

    Returns:
        The chosen keys in the order of `ASPECTS`, each once.

    Raises:
        OptionError: If a key is unknown or none is given.
    """
    if text is None or text == "all":
        return ASPECT_KEYS
    parts = text.split(",") if isinstance(text, str) else list(text)
    wanted = {get_aspect(part.strip()).key for part in parts if part.strip()}
    if not wanted:
        raise OptionError(f"No aspect given; choose from: {', '.join(ASPECT_KEYS)}.")
    return tuple(key for key in ASPECT_KEYS if key in wanted)

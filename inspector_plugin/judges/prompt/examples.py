"""The worked example of each data set: a problem, a flawed response, and a judgement of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A worked example.

    Attributes:
        question: The problem, in the data set's style.
        response: A response to it.
        verdicts: Score and justification for each built-in criterion, by key.
    """

    question: str
    response: str
    verdicts: Mapping[str, tuple[int, str]]

    def judgement(self, keys: Sequence[str], joint: bool) -> str:
        """Write the judgement in the form that is asked for."""
        verdicts = {key: _verdict(*self.verdicts[key]) for key in keys}
        return json.dumps(verdicts if joint else verdicts[keys[0]], ensure_ascii=False)


def _verdict(score: int, justification: str) -> dict[str, object]:
    return {"score": score, "justification": justification}


DEFAULT_EXAMPLE = "gsm8k"
EXAMPLES: Mapping[str, Example] = {
    "gsm8k": Example(
        question=(
            "A bakery fills 6 trays with 15 rolls each. It sells 52 rolls in the morning and gives "
            "8 rolls to a shelter. How many rolls are left?"
        ),
        response=(
            "The bakery starts with 6 * 15 = 90 rolls. It sells 52 of them, so 90 - 52 = 48 rolls "
            "are left. It gives away 8 more: 48 - 8 = 40.\n#### 40"
        ),
        verdicts={
            "semantic_consistency": (
                5,
                "Trays, rolls per tray, the sale and the gift are all used exactly as given.",
            ),
            "logicality": (
                3,
                "The plan is valid, but 90 - 52 is 38, and the error carries over to the answer.",
            ),
            "informativeness": (
                5,
                "Each quantity is computed in a step of its own and nothing is superfluous.",
            ),
            "fluency": (5, "Short, clear sentences with readable calculations."),
            "factuality": (
                3,
                "The first product is true, but the remainder of 48 and the answer 40 are false.",
            ),
        },
    ),
    "math": Example(
        question="Find all real numbers $x > 2$ such that $x^2 - 5x + 6 = 0$.",
        response=(
            "Factoring gives $(x - 2)(x - 3) = 0$, so $x = 2$ or $x = 3$. Therefore the solutions "
            "are $\\boxed{2, 3}$."
        ),
        verdicts={
            "semantic_consistency": (
                3,
                "The equation is the given one, but the condition that x exceeds 2 is dropped.",
            ),
            "logicality": (
                4,
                "The factoring and the roots follow; only the last step accepts x = 2 unchecked.",
            ),
            "informativeness": (
                4,
                "Factors and roots are shown; the check against the condition is missing.",
            ),
            "fluency": (5, "Brief and well written, with clean notation."),
            "factuality": (
                3,
                "The factorisation is true, but 2 is not among the numbers asked for.",
            ),
        },
    ),
    "gpqa": Example(
        question=(
            "An ideal gas in a rigid sealed container is heated until its absolute temperature has "
            "doubled. By what factor does the root-mean-square speed of its molecules grow?\n"
            "(A) 1\n(B) the square root of 2\n(C) 2\n(D) 4"
        ),
        response=(
            "Absolute temperature is proportional to the mean kinetic energy, so that energy "
            "doubles. Since the kinetic energy is m v^2 / 2, the speed doubles as well. The answer "
            "is (C)."
        ),
        verdicts={
            "semantic_consistency": (
                5,
                "The doubled absolute temperature and the quantity asked for are kept as given.",
            ),
            "logicality": (
                2,
                "From the square of v doubling it does not follow that v doubles; this decides "
                "the answer.",
            ),
            "informativeness": (
                4,
                "Both relations are stated, but the step from energy to speed is not worked out.",
            ),
            "fluency": (5, "Natural sentences in a sensible order."),
            "factuality": (
                2,
                "The link of temperature and energy is true, the claim on the speed and the "
                "answer are false.",
            ),
        },
    ),
}

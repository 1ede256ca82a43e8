"""How layers become a score: the choices, and the named presets."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from inspector_plugin.errors import OptionError

COMBINE = ("logits", "probabilities")
SCORES = ("expected", "argmax")
_SPAN = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class Aggregation:
    """How the score-token logits of all states become a score.

    Attributes:
        layers: The states that count: "all", "drop-last", "last", or a span "A-B", both ends
            included, where 0 is the embedding output and L the last layer.
        final_norm: Whether the states below the last pass the final norm before unembedding.
        combine: What is averaged over the layers, "logits" or "probabilities".
        score: "expected", the expected value over the scale, or "argmax", the likeliest score.
    """

    layers: str = "all"
    final_norm: bool = True
    combine: str = "logits"
    score: str = "expected"

    def states(self, count: int) -> list[int]:
        """Return the states that count, in a model that has so many.

        Raises:
            OptionError: If `layers` is malformed or names a state that the model does not have.
        """
        named = {
            "all": range(count),
            "drop-last": range(count - 1),
            "last": range(count - 1, count),
        }
        if self.layers in named:
            return list(named[self.layers])
        span = _SPAN.fullmatch(self.layers)
        first, last = (int(span[1]), int(span[2])) if span else (0, -1)
        if not first <= last < count:
            raise OptionError(
                f"Option 'layers' takes all, drop-last, last or A-B within 0-{count - 1} for this "
                f"model (0: embedding, {count - 1}: last layer), not {self.layers!r}."
            )
        return list(range(first, last + 1))


# The paper's formula unembeds all L + 1 states; unembedding is taken to include the final norm, as
# it does for the last state. The code that was released applies the bare head to states that have
# not passed the norm, and leaves the last one out.
PRESETS = {
    "paper": Aggregation(),
    "released-code": Aggregation(layers="drop-last", final_norm=False),
    "e-score": Aggregation(layers="last"),
    "direct": Aggregation(layers="last", score="argmax"),
}


def altered(aggregation: Aggregation, **given: Any) -> Aggregation:
    """Replace what is given.

    Args:
        aggregation: Where to start from.
        given: Fields of `Aggregation`; those that are None stay as they are.
    """
    return replace(aggregation, **{name: v for name, v in given.items() if v is not None})

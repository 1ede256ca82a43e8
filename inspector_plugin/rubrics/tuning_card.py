"""What the card of a tuned generator says: what it was tuned on, how, and what came of it."""

from __future__ import annotations

from pathlib import Path

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.adapters import read_adapter_card


def problems_of_adapter(folder: Path) -> frozenset[str]:
    """The problems that a generator was tuned on, by their identity.

    Args:
        folder: The adapter's folder.

    Raises:
        ModelError: If its card does not say.
    """
    problems = read_adapter_card(folder).get("problems")
    if not isinstance(problems, list):
        raise ModelError(f"{folder} has no card that says which problems it was tuned on.")
    return frozenset(map(str, problems))

"""lm_eval in several processes: what the ranks have to agree on."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def on_all_ranks(names: Sequence[str]) -> list[str]:
    """Return those of the names that every rank has; all of them in a single process.

    lm_eval gathers metrics by the keys of rank 0, so a rank whose responses are all unscored must
    not lack one that the others report.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available():
        return list(names)
    if not torch.distributed.is_initialized():
        return list(names)
    gathered: list[list[str]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(gathered, list(names))
    return [name for name in names if all(name in each for each in gathered)]

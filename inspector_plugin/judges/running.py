"""The options of every judge that runs a language model on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from inspector_plugin.errors import OptionError
from inspector_plugin.plugins.options import option

AUTO = "auto"
_MOST_SEED = 2**32 - 1


def require_seed(seed: int) -> None:
    """Refuse a seed that NumPy and scikit-learn do not take.

    Raises:
        OptionError: If it is one.
    """
    if not 0 <= seed <= _MOST_SEED:
        raise OptionError(f"--seed must be from 0 to {_MOST_SEED}, not {str(seed)[:40]}.")


@dataclass(frozen=True)
class RunningOptions:
    """Where and how a language model runs."""

    device: str | None = option(None, "cpu, cuda, cuda:1, ...; default: cuda where there is one")
    dtype: str | None = option(
        None,
        "float32, bfloat16 or auto: bfloat16 where the processor is faster in it; default: float32 "
        "on cpu, bfloat16 on cuda",
    )
    batch_size: str = option(AUTO, "most prompts in a batch, or auto: what fits")

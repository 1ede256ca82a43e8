"""The options of every judge that runs a language model on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from inspector_plugin.plugins.options import option

AUTO = "auto"


@dataclass(frozen=True)
class RunningOptions:
    """Where and how a language model runs."""

    device: str | None = option(None, "cpu, cuda, cuda:1, ...; default: cuda where there is one")
    dtype: str | None = option(
        None, "float32 or bfloat16; default: float32 on cpu, bfloat16 on cuda"
    )
    batch_size: str = option(AUTO, "most prompts in a batch, or auto: what fits")

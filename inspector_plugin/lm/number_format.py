"""The number format that a language model runs in, where the user leaves it to us."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from inspector_plugin.errors import OptionError, one_of

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
AUTO = "auto"
# Instructions that multiply bfloat16 matrices. Without them a processor takes about five times as
# long as in float32.
_FAST_BFLOAT16 = {"avx512_bf16", "amx_bf16"}
_CPUINFO = Path("/proc/cpuinfo")


def chosen_dtype(dtype: str | None, device: torch.device) -> str:
    """Choose the number format.

    Args:
        dtype: What the user asked for: "float32", "bfloat16", or "auto", which is the faster of
            the two on the device. None is float32 on a CPU and bfloat16 elsewhere.
        device: Where the model runs.

    Returns:
        "float32" or "bfloat16".

    Raises:
        OptionError: If it is something else.
    """
    if dtype is None:
        return "float32" if device.type == "cpu" else "bfloat16"
    if dtype == AUTO:
        return "float32" if device.type == "cpu" and not has_fast_bfloat16() else "bfloat16"
    if dtype not in DTYPES:
        raise OptionError(one_of(dtype, [AUTO, *DTYPES], "dtype"))
    return dtype


@cache
def has_fast_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether this machine's processor multiplies bfloat16 matrices faster than float32 ones.

    Args:
        cpuinfo: Where Linux lists the flags of the processors. Where there is no such list, as on
            other systems, the answer is no.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    listed = [line for line in text.splitlines() if line.startswith("flags")]
    return bool(listed) and all(_FAST_BFLOAT16 & set(line.split()) for line in listed)

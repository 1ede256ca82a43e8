"""The options of every judge that runs a language model on this machine."""

from __future__ import annotations

from inspector_plugin.judge import Option


def running_options(condition: str = "") -> tuple[Option, ...]:
    """Options for where and how a language model runs.

    Args:
        condition: What to say in front of each, such as "for a local model: ".
    """
    return (
        Option("device", f"{condition}cpu, cuda, cuda:1, ...; default: cuda where there is one"),
        Option(
            "dtype",
            f"{condition}float32 or bfloat16; default: float32 on cpu, bfloat16 on cuda",
        ),
        Option("batch_size", f"{condition}most prompts in a batch, or auto", default="auto"),
    )

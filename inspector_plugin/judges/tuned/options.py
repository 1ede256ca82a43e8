"""The options of the judge `tuned`."""

from __future__ import annotations

from dataclasses import dataclass

from inspector_plugin.judges.running import RunningOptions
from inspector_plugin.plugins.options import Backend, option
from inspector_plugin.schema.criteria import LABELS


@dataclass(frozen=True)
class _Options:
    path: str | None = option(None, "folder that `inspector tune` wrote; must be given")
    base: str | None = option(
        None, "where the base model is: hub id, folder or installed name; default: the pack's own"
    )
    labels: str | None = option(
        None,
        "binary: low/high quality, derived where the pack scores on each criterion's scale; "
        "default: the pack's",
        LABELS,
    )


@dataclass(frozen=True)
class TunedOptions(RunningOptions, _Options):
    """The options of the judge `tuned`."""


TUNED = Backend(
    name="tuned",
    summary="an encoder or a LoRA-tuned language model that was fine-tuned on scores",
    factory="inspector_plugin.judges.tuned.judge:TunedJudge",
    options=TunedOptions,
)

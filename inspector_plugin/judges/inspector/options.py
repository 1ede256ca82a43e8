"""The options of the judge `inspector`."""

from __future__ import annotations

from dataclasses import dataclass

from inspector_plugin.judges.running import RunningOptions
from inspector_plugin.plugins.options import Backend, option
from inspector_plugin.schema.criteria import LABELS


@dataclass(frozen=True)
class _Options:
    model: str | None = option(
        None, "hub id, folder, GGUF file or installed name; default: the probes' own"
    )
    probes: str | None = option(
        None,
        "folder of probe packs, or of those that ship fast (single probes, fewer layers) or full "
        "(cross-fitted, the likelihood of tokens too, all layers); default: cross-fitted ones",
    )
    dataset: str | None = option(
        None, "whose probes to use for every request; default: those of its own data set"
    )
    min_confidence: float | None = option(
        None, "leave a score out, with that reason, if its label is less probable, from 0 to 1"
    )
    labels: str = option(
        "multiclass", "scores on each criterion's scale, or low/high quality", LABELS
    )


@dataclass(frozen=True)
class InspectorOptions(RunningOptions, _Options):
    """The options of the judge `inspector`."""


INSPECTOR = Backend(
    name="inspector",
    summary="probes on a small language model's hidden states, without decoding",
    factory="inspector_plugin.judges.inspector.judge:InspectorJudge",
    options=InspectorOptions,
)

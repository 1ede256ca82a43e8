"""The options of the judge `lager`."""

from __future__ import annotations

from dataclasses import dataclass

from inspector_plugin.judges.lager.presets import COMBINE, PRESETS, SCORES
from inspector_plugin.judges.running import RunningOptions
from inspector_plugin.plugins.options import Backend, option

ANSWER_PREFIX = "Score: "
DEFAULT_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True)
class _Options:
    model: str = option(DEFAULT_MODEL, "hub id, folder, GGUF file or installed name")
    preset: str | None = option(None, "choices made together; default: paper", tuple(PRESETS))
    layers: str | None = option(
        None, "all, drop-last, last, or A-B (0: embedding); default: the preset's"
    )
    final_norm: bool | None = option(
        None, "final norm on states below the last; default: the preset's"
    )
    combine: str | None = option(None, "what is averaged; default: the preset's", COMBINE)
    score: str | None = option(None, "expected value or likeliest; default: the preset's", SCORES)
    weights: str | None = option(
        None, "folder that `inspector lager tune` wrote; default: all layers alike"
    )
    chat: bool | None = option(None, "use the chat template; default: where there is one")
    answer_prefix: str = option(ANSWER_PREFIX, "what the answer begins with")
    reasoning: bool = option(False, "let the model write feedback first")
    reasoning_tokens: int = option(256, "most tokens of feedback")
    keep: str | None = option(None, "keep each layer's logits in the judgements", ("layers",))


@dataclass(frozen=True)
class LagerOptions(RunningOptions, _Options):
    """The options of the judge `lager`."""


LAGER = Backend(
    name="lager",
    summary="expected score from the score-token logits of all layers",
    factory="inspector_plugin.judges.lager.judge:LagerJudge",
    options=LagerOptions,
)

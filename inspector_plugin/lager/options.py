"""The options of the judge `lager`."""

from __future__ import annotations

from inspector_plugin.judge import Backend, Option
from inspector_plugin.lager.presets import COMBINE, PRESETS, SCORES
from inspector_plugin.lm.options import running_options

ANSWER_PREFIX = "Score: "
DEFAULT_MODEL = "smollm2-135m-instruct"

LAGER = Backend(
    name="lager",
    summary="expected score from the score-token logits of all layers, without decoding",
    factory="inspector_plugin.judges.lager:LagerJudge",
    options=(
        Option("model", "hub id, folder, GGUF file or installed name", default=DEFAULT_MODEL),
        Option("preset", "choices made together; default: paper", choices=tuple(PRESETS)),
        Option("layers", "all, drop-last, last, or A-B (0: embedding); default: the preset's"),
        Option("final_norm", "final norm on states below the last; default: the preset's", bool),
        Option("combine", "what is averaged; default: the preset's", choices=COMBINE),
        Option("score", "expected value or likeliest; default: the preset's", choices=SCORES),
        Option("weights", "folder that `inspector lager tune` wrote; default: all layers alike"),
        Option("scale", "the highest score; the lowest is 1", int, default=5),
        Option("chat", "use the chat template; default: where there is one", bool),
        Option("answer_prefix", "what the answer begins with", default=ANSWER_PREFIX),
        Option("reasoning", "let the model write feedback first", bool, default=False),
        Option("reasoning_tokens", "most tokens of feedback", int, default=256),
        Option("keep", "keep each layer's logits in the judgements", choices=("layers",)),
        *running_options(),
    ),
)

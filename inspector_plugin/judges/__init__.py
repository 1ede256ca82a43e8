"""The built-in judges, registered through the same hook as anyone's.

The factories are named by module and class: a backend's module, and torch with it, is imported
when the first judge of that kind is made.
"""

from __future__ import annotations

from collections.abc import Callable

from inspector_plugin.hookspecs import hookimpl
from inspector_plugin.judge import Backend, Option
from inspector_plugin.lager.options import LAGER
from inspector_plugin.lm.options import running_options
from inspector_plugin.prompting.options import DEEPSEEK, PROMPT
from inspector_plugin.schema import DATASETS

INSPECTOR = Backend(
    name="inspector",
    summary="probes on a small language model's hidden states, without decoding",
    factory="inspector_plugin.judges.probe:InspectorJudge",
    options=(
        Option("model", "hub id, folder, GGUF file or installed name; default: the probes' own"),
        Option("probes", "folder of probe packs; default: the packs that ship"),
        Option("dataset", "whose probes to use; default: what the task says", choices=DATASETS),
        Option(
            "labels",
            "scores 1-5, or low/high quality",
            default="multiclass",
            choices=("multiclass", "binary"),
        ),
        *running_options(),
    ),
)

RECORDED = Backend(
    name="recorded",
    summary="stored scores, joined by question and response text",
    factory="inspector_plugin.judges.recorded:RecordedJudge",
    options=(
        Option("path", "JSONL of question, response, aspect and score; required"),
        Option(
            "labels",
            "scores 1-5 as stored, or low/high quality (high: score above 3)",
            default="multiclass",
            choices=("multiclass", "binary"),
        ),
    ),
)


@hookimpl
def register_judges(register: Callable[[Backend], None]) -> None:
    """Register the judges of this package."""
    for backend in (INSPECTOR, LAGER, RECORDED, PROMPT, DEEPSEEK):
        register(backend)

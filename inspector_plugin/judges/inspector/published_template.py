"""The prompt that imported probes were trained with, out of a file of the user's."""

from __future__ import annotations

import re
from pathlib import Path

from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.layout import PromptLayout
from inspector_plugin.judges.inspector.question_forms import QUESTION_FORMS

# As the text is written, and what is put there.
_FIELDS = {"{question}": "question", "{response}": "response", "{prediction}": "response"}
_PLACEHOLDER = re.compile("(" + "|".join(map(re.escape, _FIELDS)) + ")")
_SUFFIX = ".txt"
TEMPLATE = "template"

MISSING = (
    "The prompt is missing: probes work only on the prompt that they were trained with, and their "
    "files do not hold it. Copy it from the authors' repository into a text file, with {question} "
    "and {response} where these stand, and give --template FILE; if each criterion has its own, "
    "give a folder with a file for each, such as fluency.txt. See docs/published-probes.md."
)


def read_template(path: Path, criterion: str, dataset: str) -> PromptLayout:
    """Read the prompt for a criterion.

    Placeholders are replaced literally, and what stands in a question or response is never read as
    one. Everything else, braces and line breaks included, is part of the prompt.

    Args:
        path: A text file for all criteria, or a folder with a file for each.
        criterion: The criterion's key.
        dataset: The data set, which says in what form probes read its questions.

    Raises:
        PackError: If there is no such file, or it does not hold each placeholder once.
    """
    file = path / f"{criterion}{_SUFFIX}" if path.is_dir() else path
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            text = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(f"Cannot read the template {file}: {error}") from error
    pieces = [piece for piece in _PLACEHOLDER.split(text) if piece]
    parts = tuple(
        ("field", _FIELDS[piece]) if piece in _FIELDS else ("text", piece) for piece in pieces
    )
    fields = sorted(value for kind, value in parts if kind == "field")
    if fields != ["question", "response"]:
        raise PackError(
            f"The template {file} must hold {{question}} and {{response}} (or {{prediction}}), "
            f"each once; it holds {fields or 'neither'}."
        )
    form = dataset if dataset in QUESTION_FORMS else None
    return PromptLayout(TEMPLATE, parts, question_form=form, joined=True)

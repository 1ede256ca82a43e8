"""lm_eval's sample logs of our tasks, as rows of the judgement format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from inspector_plugin.errors import DataError

# What lines of a judge say of a response beside its judgement.
ORIGIN: tuple[str, ...] = ("id", "dataset")
_FIELDS = frozenset({"doc_id", "doc", "resps", "filtered_resps", "filter"})


def is_sample_log(row: Mapping[str, Any]) -> bool:
    """Whether a row is a line of a sample log."""
    return row.keys() >= _FIELDS


def holds_judgements(row: Mapping[str, Any]) -> bool:
    """Whether a line of a sample log is that of a judge, not of one of lm_eval's filters."""
    filtered = row["filtered_resps"]
    return isinstance(filtered, list) and any(
        entry is not None for judged in filtered[:1] for entry in _entries(judged)[:1]
    )


def judged_rows(row: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """Take the judged responses out of a line of a sample log.

    Args:
        row: The line.
        where: Where it stands, for error messages.

    Yields:
        For each response a row with `question`, `response`, `judgements` and perhaps `id` and
        `dataset`; nothing for a line that holds what one of lm_eval's own filters made.

    Raises:
        DataError: If the line is malformed.
    """
    try:
        for responses, judged in zip(row["resps"], row["filtered_resps"], strict=True):
            for response, entry in zip(responses, _entries(judged), strict=False):
                if entry is None:
                    return
                origin = {name: entry.pop(name) for name in ORIGIN if name in entry}
                yield {
                    **origin,
                    "question": entry.pop("question"),
                    "response": response,
                    "judgements": {row["filter"]: entry},
                }
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{where}: this line of a sample log is malformed ({error!r}).") from error


def _entries(judged: Any) -> list[dict[str, Any] | None]:
    if isinstance(judged, str) and judged.startswith("[{"):  # as W&B has it logged
        try:
            judged = json.loads(judged)
        except (ValueError, RecursionError):
            return [None]
    return [_entry(each) for each in (judged if isinstance(judged, list) else [judged])]


def _entry(text: Any) -> dict[str, Any] | None:
    """Read one judgement; None where this is something else, such as an extracted answer."""
    if isinstance(text, str) and text.startswith("{"):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError):
            return None
    is_ours = isinstance(text, Mapping) and "format_version" in text and "scores" in text
    return dict(text) if is_ours else None

"""lm_eval's sample logs of our tasks, as rows of the judgement format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from inspector_plugin.errors import DataError

_ORIGIN: tuple[str, ...] = ("id", "dataset")
_FIELDS = frozenset({"doc_id", "doc", "resps", "filtered_resps", "filter"})


def is_sample_log(row: Mapping[str, Any]) -> bool:
    """Whether a row is a line of a sample log."""
    return row.keys() >= _FIELDS


def with_problem(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Give a line of a sample log the fields `question` and `response`, where it lacks them.

    Args:
        row: The line.
        where: Where it stands, for error messages.

    Raises:
        DataError: If its document has no field `question`.
    """
    if "question" in row:
        return dict(row)
    document = row["doc"]
    question = document.get("question") if isinstance(document, Mapping) else None
    if not isinstance(question, str):
        raise DataError(
            f"{where}: this is a line of an lm_eval sample log, and its doc has no text "
            "'question'; write rows of question (from doc) and response (resps[0][0]), or judge "
            "while lm_eval runs: inspector run."
        )
    try:
        response = row["resps"][0][0]
    except (TypeError, LookupError):
        response = None
    return {"id": str(row["doc_id"]), "question": question, "response": response, **row}


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
                origin = {name: entry.pop(name) for name in _ORIGIN if name in entry}
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

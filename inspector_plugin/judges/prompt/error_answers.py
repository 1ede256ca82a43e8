"""What an endpoint says when it refuses a call, whatever the shape of its words."""

from __future__ import annotations

import email.utils
import html
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from inspector_plugin.judges.prompt.untrusted import JsonFault, one_line, read_json

_LONGEST_PAUSE = 1e9
_READ_BYTES = 64 * 1024
_DEEPEST = 6
# Where endpoints put their words, in the order in which they are read.
_SAYING = (
    "message",
    "msg",
    "error",
    "errors",
    "detail",
    "details",
    "title",
    "description",
    "error_description",
    "error_message",
    "error_msg",
    "reason",
    "metadata",
    "raw",
)
_CODES = ("code", "type", "status", "param", "error_type")
_HIDDEN_HTML = re.compile(r"<(?:script|style)\b[^<>]*>[^<]*", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_STATUS_OF_CODE = (
    ("insufficient_quota", 402),
    ("rate_limit", 429),
    ("invalid_api_key", 401),
    ("authentication", 401),
    ("permission", 403),
    ("content_filter", 403),
    ("content_policy", 403),
    ("invalid_request", 400),
)


@dataclass(frozen=True)
class ErrorAnswer:
    """An answer that says that there is no reply.

    Attributes:
        status: The HTTP status, or what stands for it in an error inside a 200.
        said: The endpoint's words: one short line without the key.
        marks: Words and codes in lower case, to be searched.
        pause: The seconds that the endpoint asked to wait, if it did.
        in_body: Whether it stands in the body of an answer whose HTTP status is 200.
    """

    status: int
    said: str
    marks: str
    pause: float | None = None
    in_body: bool = False


def read_error(
    status: int, body: bytes, headers: Mapping[str, str], key: str | None
) -> ErrorAnswer:
    """Read the answer of a status that is not 200.

    Args:
        status: The status.
        body: The body: JSON of any shape, HTML or text.
        headers: The headers.
        key: The key, which the answer may quote.
    """
    try:
        value = read_json(body)
    except JsonFault:
        value = _plain_text(body[:_READ_BYTES].decode("utf-8", "replace"))
    return _answer(status, value, key, _pause(headers.get("retry-after")))


def read_error_object(error: object, key: str | None, status: int = 500) -> ErrorAnswer:
    """Read an error inside an answer whose status is 200.

    Args:
        error: The error.
        key: The key, which the error may quote.
        status: What the error counts as if it has no code.
    """
    codes = " ".join(_codes(error)).lower()
    number = re.search(r"\b[345]\d\d\b", codes)
    named = (value for mark, value in _STATUS_OF_CODE if mark in codes)
    found = int(number.group()) if number else next(named, status)
    return replace(_answer(found, error, key, None), in_body=True)


def _answer(status: int, value: object, key: str | None, pause: float | None) -> ErrorAnswer:
    texts = " ".join(_texts(value))
    said = one_line(texts, key) if texts.strip() else "no message"
    # Codes such as "insufficient_quota" often say more than the words.
    return ErrorAnswer(status, said, " ".join([said, *_codes(value)]).lower(), pause)


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth < _DEEPEST:
        for each in value[:5]:
            yield from _texts(each, depth + 1)
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        if isinstance(value.get("loc"), list):  # where in the body of the call the fault is
            yield ".".join(str(each)[:40] for each in value["loc"][:8]) + ":"
        saying = [value[name] for name in _SAYING if value.get(name)]
        for each in saying or list(value.values())[:5]:
            yield from _texts(each, depth + 1)


def _codes(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, list) and depth < _DEEPEST:
        for each in value[:5]:
            yield from _codes(each, depth + 1)
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        for name in _CODES:
            if isinstance(value.get(name), (str, int)):
                yield str(value[name])[:80]
        for name in ("error", "errors", "detail"):
            yield from _codes(value.get(name), depth + 1)


def _plain_text(text: str) -> str:
    if not text.lstrip().startswith("<"):
        return text
    return html.unescape(_TAG.sub(" ", _HIDDEN_HTML.sub(" ", text)))


def _pause(value: Any) -> float | None:
    """Read Retry-After: seconds, or a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        # Dates may be malformed, or beyond the calendar.
        except (ValueError, TypeError, OverflowError, OSError, IndexError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), _LONGEST_PAUSE)

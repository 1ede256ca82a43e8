"""What an endpoint's errors mean: try again, leave this response out, or stop."""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Mapping
from typing import Any

import openai

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.keys import Key
from inspector_plugin.judges.prompt.messages import Refusal
from inspector_plugin.judges.prompt.options import PromptOptions

_SHOWN_CHARACTERS = 200
_TOO_LONG = ("context_length", "context length", "maximum context", "context window", "too long")
_NO_MODEL = ("model not exist", "model_not_found", "does not exist", "model not found")
_NO_FORMAT = ("response_format", "json_schema", "json_object", "structured output")


class TransientFault(Exception):
    """A fault after which the same call may go well.

    Attributes:
        reason: What happened, in a few words.
        pause: The seconds that the endpoint asked to wait, if it did.
        too_many: Whether the endpoint asks for fewer calls.
    """

    def __init__(self, reason: str, pause: float | None = None, too_many: bool = False) -> None:
        """Take what is known of the fault."""
        super().__init__(reason)
        self.reason = reason
        self.pause = pause
        self.too_many = too_many


class FormatFault(Exception):
    """The endpoint does not have a response format.

    Attributes:
        reply_format: The format that was asked for.
    """

    def __init__(self, said: str, reply_format: str) -> None:
        """Take what the endpoint said, and the format."""
        super().__init__(said)
        self.reply_format = reply_format


def status_fault(
    error: openai.APIStatusError, options: PromptOptions, reply_format: str, key: Key | None
) -> Refusal | TransientFault | FormatFault | JudgeError:
    """Say what an answer of another status than 200 means.

    Args:
        error: The SDK's error. Its text may quote the key, and is never passed on as it is.
        options: Where the call went.
        reply_format: The response format that was asked for.
        key: The key, to be taken out of messages.
    """
    status = error.status_code
    said = _said(error, key)
    lower = f"{error.code or ''} {said}".lower()
    if status in (401, 403):
        return JudgeError(_refused_key(status, options.base_url, key))
    if status == 402 or (status == 429 and "insufficient_quota" in lower):
        return JudgeError(
            f"The account at {options.base_url} has no credit left ({status}); top it up. What is "
            "judged so far is kept."
        )
    if 300 <= status < 400:
        return JudgeError(
            f"{options.base_url} sends calls elsewhere ({status}), which is not followed; give the "
            "address that it should be as base_url."
        )
    if status == 404 or any(mark in lower for mark in _NO_MODEL):
        return JudgeError(
            f"{options.base_url} knows no model {options.model!r}, or is not the base of a "
            f"chat-completions API ({status}: {said}); check model, and base_url, which usually "
            "ends in /v1."
        )
    if status == 429:
        return TransientFault("too many requests (429)", _pause(error.response.headers), True)
    if status in (408, 409, 425) or status >= 500:
        return TransientFault(f"server error ({status})", _pause(error.response.headers))
    if status == 413 or any(mark in lower for mark in _TOO_LONG):
        return Refusal(f"the prompt is longer than the model's context ({status})", transient=False)
    if options.logprobs and "logprobs" in lower:
        return JudgeError(
            f"{options.base_url} offers no token log-probabilities for {options.model!r} ({said}); "
            "judge without logprobs=true."
        )
    if any(mark in lower for mark in _NO_FORMAT):
        return FormatFault(said, reply_format)
    return Refusal(f"the endpoint refused the call ({status}: {said})", transient=False)


def connection_fault(
    error: openai.APIConnectionError, options: PromptOptions
) -> TransientFault | JudgeError:
    """Say what a call without an answer means."""
    causes = _causes(error)
    names = {type(cause).__name__ for cause in causes}
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return JudgeError(
            f"No trusted TLS connection to {options.base_url}: {_line(causes[-1])}. Check the "
            "address, and the certificates of this machine or of its proxy (SSL_CERT_FILE)."
        )
    if names & {"ProxyError", "ClientProxyConnectionError", "ClientHttpProxyError"}:
        return JudgeError(
            f"The proxy on the way to {options.base_url} failed: {_line(causes[-1])}. Check "
            "HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
        )
    return TransientFault(f"no answer ({_line(causes[-1])})")


def unreachable(options: PromptOptions, reason: str) -> JudgeError:
    """Say that an endpoint has not answered a single call."""
    return JudgeError(
        f"{options.base_url} has given no usable answer: {reason}. Check base_url (it usually ends "
        "in /v1), the network and the proxy settings (HTTPS_PROXY, NO_PROXY)."
    )


def _refused_key(status: int, base_url: str | None, key: Key | None) -> str:
    if key is None:
        return (
            f"{base_url} wants a key ({status}); name the environment variable that holds "
            "it with key_env=NAME, or a file with key_file=PATH."
        )
    return (
        f"{base_url} refused the key of {key.place} ({status}); check that it is "
        "complete, valid for this endpoint and for the model."
    )


def _said(error: openai.APIStatusError, key: Key | None) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else body
    if isinstance(message, dict):
        message = message.get("message")
    text = message if isinstance(message, str) else "no message"
    return _line(text.replace(key.value, "[key]") if key else text)


def _line(value: object) -> str:
    """One short line of printable characters."""
    text = " ".join(str(value).split()) or type(value).__name__
    return "".join(character for character in text if character.isprintable())[:_SHOWN_CHARACTERS]


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return chain


def _pause(headers: Mapping[str, Any]) -> float | None:
    """Read Retry-After: seconds, or a date."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None

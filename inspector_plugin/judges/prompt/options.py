"""The options of the prompt judges, and the two backends that take them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from inspector_plugin.errors import OptionError
from inspector_plugin.judges.running import RunningOptions
from inspector_plugin.plugins.options import Backend, option
from inspector_plugin.schema.criteria import LABELS

MODES = ("per-criterion", "joint", "per-aspect")
REPLY_FORMATS = ("auto", "schema", "json", "text")
_FACTORY = "inspector_plugin.judges.prompt.judge:make_prompt_judge"
_POSITIVE = (
    "max_tokens",
    "concurrency",
    "timeout",
    "deadline",
    "requests_per_minute",
    "tokens_per_minute",
    "max_cost",
)
_MOST = 1e12
# What the judge sets itself, apart from the temperature, and what would change the form of answers.
_NOT_EXTRA = (
    "messages",
    "model",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "logprobs",
    "top_logprobs",
    "stream",
    "n",
)


@dataclass(frozen=True)
class _Place:
    model: str | None = option(
        None, "name at the endpoint; without base_url a hub id or folder; required"
    )
    base_url: str | None = option(None, "address of the endpoint, usually ending in /v1")
    key_env: str | None = option(
        None, "environment variable that holds the key; default: no key is sent"
    )
    reply_format: str = option(
        "auto", "response format to ask for; auto: schema, else json", REPLY_FORMATS
    )


@dataclass(frozen=True)
class _DeepSeekPlace:
    model: str | None = option("deepseek-chat", "model name at DeepSeek")
    base_url: str | None = option("https://api.deepseek.com", "address of the endpoint")
    key_env: str | None = option("DEEPSEEK_API_KEY", "environment variable that holds the key")
    reply_format: str = option("json", "response format to ask for", REPLY_FORMATS)


@dataclass(frozen=True)
class _Asking:
    mode: str = option(
        "per-criterion",
        "a call for each criterion (also called per-aspect), or all criteria in one call",
        MODES,
    )
    labels: str = option(
        "multiclass", "scores on each criterion's scale, or low/high quality", LABELS
    )
    dataset: str | None = option(
        None, "whose worked example to show; default: that of the request's data set"
    )
    logprobs: bool = option(False, "score: expected value under the token probabilities")
    max_tokens: int | None = option(None, "most tokens of a reply")
    prices: str | None = option(None, "JSON file of prices that overrides the built-in table")
    max_cost: float | None = option(None, "US dollars that the calls of one run must not pass")
    dry_run: bool = option(False, "estimate tokens and cost, make no call")
    key_file: str | None = option(None, "file that holds the key, instead of key_env")
    extra_body: str | None = option(
        None, "further fields of the body of each call, as one JSON object"
    )
    concurrency: int = option(32, "most calls at once")
    timeout: float = option(120.0, "seconds for one attempt of a call")
    deadline: float = option(600.0, "seconds for one call, its attempts and pauses included")
    requests_per_minute: int | None = option(None, "limit, if any")
    tokens_per_minute: int | None = option(None, "limit, if any")

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"Option {name!r} must be above 0, not {value}.")
            if value is not None and value > _MOST:
                raise OptionError(f"Option {name!r} must be at most {_MOST:g}.")
        if self.extra_body is not None:
            _check_extra_body(self.extra_body)

    @property
    def joint(self) -> bool:
        """Whether all criteria of a request are asked for in one call."""
        return self.mode == "joint"


@dataclass(frozen=True)
class PromptOptions(RunningOptions, _Asking, _Place):
    """The options of the judge `prompt`.

    Raises:
        OptionError: If a limit is not positive.
    """

    @property
    def reply_tokens(self) -> int:
        """The most tokens of a reply."""
        if self.max_tokens is not None:
            return self.max_tokens
        usual = 256 if self.base_url is None else 1024
        return 3 * usual if self.joint else usual

    def describe_endpoint(self) -> dict[str, Any]:
        """Say what determines an endpoint's replies; never where the key is."""
        described = {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": 0,
            "max_tokens": self.reply_tokens,
            "reply_format": self.reply_format,
        }
        # Judgements cached before there was this option keep their keys.
        extra = {} if self.extra_body is None else {"extra_body": json.loads(self.extra_body)}
        return described | extra


@dataclass(frozen=True)
class DeepSeekOptions(_Asking, _DeepSeekPlace):
    """The options of the judge `deepseek`: those of `prompt` but for a model on this machine.

    Raises:
        OptionError: If a limit is not positive.
    """


def _check_extra_body(text: str) -> None:
    try:
        extra = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise OptionError(
            "extra_body must be one JSON object, quoted for the shell, such as "
            """'prompt:...,extra_body={"top_p": 1}'."""
        )
    taken = sorted(set(extra) & set(_NOT_EXTRA))
    if taken:
        raise OptionError(
            f"extra_body cannot hold {', '.join(taken)}: the judge sets these itself."
        )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


PROMPT = Backend(
    name="prompt",
    summary="asks any OpenAI-compatible endpoint, or a local language model",
    factory=_FACTORY,
    options=PromptOptions,
)

DEEPSEEK = Backend(
    name="deepseek",
    summary="asks DeepSeek, the reference judge; the key is in DEEPSEEK_API_KEY",
    factory=_FACTORY,
    options=DeepSeekOptions,
)

"""The options of the prompt judges, and the two backends that take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inspector_plugin.errors import OptionError
from inspector_plugin.judge import Backend, Option
from inspector_plugin.lm.options import running_options

MODES = ("per-aspect", "joint")
REPLY_FORMATS = ("auto", "schema", "json", "text")
_FACTORY = "inspector_plugin.judges.prompt:make_prompt_judge"
_POSITIVE = (
    "max_tokens",
    "concurrency",
    "timeout",
    "deadline",
    "requests_per_minute",
    "tokens_per_minute",
    "max_cost",
)


@dataclass(frozen=True)
class PromptOptions:
    """The options of a prompt judge; `OPTIONS` says what each means.

    Raises:
        OptionError: If a limit is not positive.
    """

    model: str
    base_url: str | None = None
    key_env: str | None = None
    key_file: str | None = None
    mode: str = "per-aspect"
    labels: str = "multiclass"
    dataset: str | None = None
    reply_format: str = "auto"
    logprobs: bool = False
    max_tokens: int | None = None
    concurrency: int = 32
    timeout: float = 120.0
    deadline: float = 600.0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    prices: str | None = None
    max_cost: float | None = None
    dry_run: bool = False
    device: str | None = None
    dtype: str | None = None
    batch_size: str | int = "auto"

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"Option {name!r} must be above 0, not {value}.")

    @property
    def reply_tokens(self) -> int:
        """The most tokens of a reply."""
        if self.max_tokens is not None:
            return self.max_tokens
        usual = 256 if self.base_url is None else 1024
        return usual if self.mode == "per-aspect" else 3 * usual

    def describe_endpoint(self) -> dict[str, Any]:
        """Say what determines an endpoint's replies; never where the key is."""
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": 0,
            "max_tokens": self.reply_tokens,
            "reply_format": self.reply_format,
        }


_ASKING = (
    Option(
        "mode",
        "a call for each aspect, or all aspects in one call",
        default="per-aspect",
        choices=MODES,
    ),
    Option(
        "labels",
        "scores 1-5, or low/high quality (high: score above 3)",
        default="multiclass",
        choices=("multiclass", "binary"),
    ),
    Option(
        "dataset",
        "whose worked example to show; default: what the task says",
        choices=("gsm8k", "math", "gpqa"),
    ),
    Option("logprobs", "score: expected value under the token probabilities", bool, default=False),
    Option("max_tokens", "most tokens of a reply", int),
    Option("prices", "JSON file of prices that overrides the built-in table"),
    Option("max_cost", "US dollars that the calls of one run must not pass", float),
    Option("dry_run", "estimate tokens and cost, make no call", bool, default=False),
)
_CALLING = (
    Option("key_file", "file that holds the key, instead of key_env"),
    Option("concurrency", "most calls at once", int, default=32),
    Option("timeout", "seconds for one attempt of a call", float, default=120.0),
    Option("deadline", "seconds for one call, attempts and waiting included", float, default=600.0),
    Option("requests_per_minute", "limit, if any", int),
    Option("tokens_per_minute", "limit, if any", int),
)

PROMPT = Backend(
    name="prompt",
    summary="asks any OpenAI-compatible endpoint, or a language model on this machine",
    factory=_FACTORY,
    options=(
        Option("model", "name at the endpoint; without base_url a hub id or folder; required"),
        Option("base_url", "address of the endpoint, usually ending in /v1"),
        Option("key_env", "environment variable that holds the key; default: no key is sent"),
        Option(
            "reply_format",
            "response format to ask for; auto: schema, else json",
            default="auto",
            choices=REPLY_FORMATS,
        ),
        *_ASKING,
        *_CALLING,
        *running_options("for a local model: "),
    ),
)

DEEPSEEK = Backend(
    name="deepseek",
    summary="asks DeepSeek, the reference judge; the key is in DEEPSEEK_API_KEY",
    factory=_FACTORY,
    options=(
        Option("model", "model name at DeepSeek", default="deepseek-chat"),
        Option("base_url", "address of the endpoint", default="https://api.deepseek.com"),
        Option("key_env", "environment variable that holds the key", default="DEEPSEEK_API_KEY"),
        Option(
            "reply_format",
            "response format to ask for",
            default="json",
            choices=REPLY_FORMATS,
        ),
        *_ASKING,
        *_CALLING,
    ),
)

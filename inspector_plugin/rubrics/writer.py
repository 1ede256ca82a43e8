"""Free text from a language model: what generating, refining and tuning rubrics ask it for.

A writer asks what the prompt judge asks (an OpenAI-compatible endpoint, or a language model on this
machine), through the same connection, limits and prices. Each reply is on disk before it is read,
so that an interrupted run resumes and pays for nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from inspector_plugin.errors import OptionError, count_of
from inspector_plugin.judges.prompt.dry_run import DryRun
from inspector_plugin.judges.prompt.messages import Conversation, Message, Refusal, Reply, Source
from inspector_plugin.judges.prompt.options import (
    DEEPSEEK,
    PROMPT,
    DeepSeekOptions,
    PromptOptions,
)
from inspector_plugin.judges.prompt.prices import Price, price_of
from inspector_plugin.judges.prompt.replies import ReplyFault, without_thoughts
from inspector_plugin.judges.prompt.sources import make_source
from inspector_plugin.plugins.options import JudgeSpec, OptionValue
from inspector_plugin.progress import Progress
from inspector_plugin.rubrics.reply_store import ReplyStore
from inspector_plugin.schema.usage import Usage

MAX_ASKED_AGAIN = 2
GENERATOR_HELP = (
    "deepseek, prompt:model=NAME,base_url=URL for another endpoint, or the name or folder of a "
    "language model on this machine"
)
# A rubric of a dozen items takes some 600 tokens; thoughts before it take more.
_ENDPOINT_TOKENS, _LOCAL_TOKENS = 4096, 768
_QUOTED_CHARACTERS = 4000
_BACKENDS = {backend.name: backend for backend in (PROMPT, DEEPSEEK)}
# Options of the judges that have no meaning where no score is asked for.
OF_SCORES = ("mode", "labels", "dataset", "logprobs")
_AGAIN = """\
Your answer could not be used: {fault}. Answer once more, in the form {form}, with no other text."""

Written = TypeVar("Written")


@dataclass(frozen=True)
class Ask(Generic[Written]):
    """One thing to be written.

    Attributes:
        system: The instructions: what is the same for all asks of a kind.
        user: What it is about.
        form: The form of the answer, as an example.
        schema: The JSON schema of the answer.
        read: Reads a reply; raises `ReplyFault` if it cannot be used.
        expected_tokens: Tokens that the answer is likely to take, for estimates.
        beginning: What a language model on this machine is given of its answer: a small one seldom
            finds the form by itself. It marks a list of lines, of which an unfinished last one is
            left out.
    """

    system: str
    user: str
    form: str
    schema: Mapping[str, Any]
    read: Callable[[str], Written]
    expected_tokens: int = 400
    beginning: str = ""

    @property
    def conversation(self) -> Conversation:
        """What the language model is asked."""
        messages = (Message("system", self.system), Message("user", self.user))
        return Conversation(
            messages,
            self.schema,
            expected_tokens=self.expected_tokens,
            beginning=self.beginning,
        )


@dataclass
class _Call(Generic[Written]):
    """An ask on its way: where its answer belongs, and how often it may be asked again."""

    position: int
    ask: Ask[Written]
    conversation: Conversation
    left: int = MAX_ASKED_AGAIN


class Writer:
    """Asks a language model for text that is read into something.

    A reply that cannot be read is asked for again, at most twice, with the fault pointed out.

    Attributes:
        usage: What the writer has cost so far.
        dry_run: Whether it only estimates.
    """

    def __init__(
        self, source: Source, store: ReplyStore | None = None, *, dry_run: bool = False
    ) -> None:
        """Take what answers, and where replies are kept.

        Args:
            source: Where replies come from; closed by `close`.
            store: Where replies are kept; None to keep none. Closed by `close`.
            dry_run: Whether the source makes no calls.
        """
        self.usage = Usage()
        self.dry_run = dry_run
        self._source = source
        self._store = store

    def write(self, asks: Sequence[Ask[Written]], what: str = "Writing") -> list[Written | Refusal]:
        """Ask for several things, many at a time where the model is at an endpoint.

        Args:
            asks: The asks.
            what: What progress says is being done.

        Returns:
            For each ask, in order, what its reply was read into, or why there is nothing.

        Raises:
            JudgeError: If the model answers nothing at all any more.
        """
        found: dict[int, Written | Refusal] = {}
        calls = [_Call(place, ask, ask.conversation) for place, ask in enumerate(asks)]
        with Progress(len(asks), what, "call") as progress:
            while calls:
                again: list[_Call[Written]] = []
                for call, reply in self._replies(calls):
                    self.usage += reply.usage
                    answer = _read(call, reply)
                    if isinstance(answer, _Call):
                        again.append(answer)
                    else:
                        found[call.position] = answer
                        progress.advance(note=self.usage.cost)
                calls = again
        return [found[place] for place in range(len(asks))]

    def describe(self) -> Mapping[str, Any]:
        """Name the model and what else determines the replies; never a key."""
        return self._source.describe()

    def close(self) -> None:
        """Close the source and the store. Closing twice is allowed."""
        self._source.close()
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _replies(self, calls: Sequence[_Call[Written]]) -> Any:
        """Yield each call with its reply: from the store, else asked for and stored at once."""
        keys = [""] * len(calls)
        known: dict[str, Reply] = {}
        if self._store is not None:
            keys = self._store.keys(self.describe(), [call.conversation for call in calls])
            known = self._store.get(keys)
        # What occurs twice is asked once.
        asked: dict[object, list[int]] = {}
        for place, key in enumerate(keys):
            if key in known:
                yield calls[place], known[key]
            else:
                asked.setdefault(key or calls[place].conversation.messages, []).append(place)
        owners = list(asked.values())
        conversations = [calls[places[0]].conversation for places in owners]
        if not conversations:
            return
        with closing(self._source.replies(conversations)) as groups:
            for group in groups:
                if self._store is not None:
                    self._store.put(
                        [(keys[owners[n][0]], r) for n, r in group if isinstance(r, Reply)]
                    )
                for number, reply in group:
                    for place in owners[number]:
                        yield calls[place], reply
                        reply = replace(reply, usage=Usage(reused=1))


def _read(call: _Call[Written], reply: Reply | Refusal) -> Written | Refusal | _Call[Written]:
    if isinstance(reply, Refusal):
        return reply
    try:
        is_unfinished = reply.cut and call.ask.beginning and "\n" in reply.text
        return call.ask.read(reply.text.rpartition("\n")[0] if is_unfinished else reply.text)
    except ReplyFault as fault:
        if reply.cut:
            return Refusal("the reply was cut off; raise max_tokens of the generator", False)
        if call.left:
            conversation = _asked_again(call, reply.text, str(fault))
            return replace(call, conversation=conversation, left=call.left - 1)
        return Refusal(f"the reply cannot be used: {fault}", False)


def _asked_again(call: _Call[Written], text: str, fault: str) -> Conversation:
    request = _AGAIN.format(fault=fault, form=call.ask.form)
    answer = without_thoughts(text).strip()[:_QUOTED_CHARACTERS]
    *before, last = call.conversation.messages
    if answer:
        messages = (*before, last, Message("assistant", answer), Message("user", request))
    else:  # endpoints and chat templates refuse messages without text
        messages = (*before, Message("user", f"{last.content}\n\n{request}"))
    return replace(call.conversation, messages=messages)


def make_writer(
    spec: str | JudgeSpec,
    defaults: Mapping[str, OptionValue] | None = None,
    *,
    cached: bool = True,
    dry_run: bool = False,
) -> Writer:
    """Make a writer from the specification of a prompt judge.

    Args:
        spec: "deepseek", "prompt:model=NAME,base_url=URL" or "prompt:model=FOLDER", with the
            options of these judges that concern calls.
        defaults: Values for options that the specification doesn't set; those that the backend
            does not have are left out.
        cached: Whether replies are kept on disk and reused.
        dry_run: Whether to estimate tokens and cost, and make no call.

    Raises:
        OptionError: If the specification cannot be used, or no key is found.
        ModelError: If a local model cannot be loaded.
    """
    options = writer_options(spec, defaults)
    if dry_run:
        price = price_of(str(options.model), options.prices)
        free = Price(0.0, 0.0, 0.0)  # a model on this machine costs no money
        source: Source = DryRun(options, price if options.base_url else free)
    else:
        source = make_source(replace(options, dry_run=False))
    return Writer(source, ReplyStore() if cached else None, dry_run=dry_run)


def writer_spec(text: str) -> JudgeSpec:
    """Read what the user calls a generator: a specification, or a language model's name or folder.

    Raises:
        OptionError: If it is neither.
    """
    is_name = (":" not in text and text not in _BACKENDS) or Path(text).is_dir()
    return JudgeSpec("prompt", {"model": text}) if is_name and text else JudgeSpec.parse(text)


def writer_options(
    spec: str | JudgeSpec, defaults: Mapping[str, OptionValue] | None = None
) -> PromptOptions:
    """Read the specification of a writer; see `make_writer`.

    Raises:
        OptionError: If it cannot be used.
    """
    parsed = writer_spec(spec) if isinstance(spec, str) else spec
    backend = _BACKENDS.get(parsed.name)
    if backend is None:
        raise OptionError(
            f"Generator {str(parsed)!r}: {parsed.name!r} writes no text; give {GENERATOR_HELP}."
        )
    senseless = [name for name in OF_SCORES if name in parsed.options]
    if senseless:
        raise OptionError(
            f"Generator {str(parsed)!r}: option {senseless[0]!r} is for scores; leave it out."
        )
    known = {option.name for option in backend.option_list}
    given = {key: value for key, value in (defaults or {}).items() if key in known}
    values: Any = backend.convert_options({**given, **parsed.options})
    options = (
        PromptOptions(**vars(DeepSeekOptions(**values)))
        if backend is DEEPSEEK
        else PromptOptions(**values)
    )
    if not options.model:
        raise OptionError(f"Generator {str(parsed)!r} names no model; give {GENERATOR_HELP}.")
    usual = _LOCAL_TOKENS if options.base_url is None else _ENDPOINT_TOKENS
    return replace(options, max_tokens=options.max_tokens or usual)


def usage_line(name: str, usage: Usage) -> str:
    """Say in one line what a writer has cost."""
    return (
        f"{name}: {count_of(usage.calls, 'call')}, {usage.prompt_tokens} prompt tokens, "
        f"{usage.completion_tokens} completion tokens, {usage.cost}; "
        f"{count_of(usage.reused, 'reply')} reused"
    )

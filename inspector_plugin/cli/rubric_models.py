"""The models of `inspector rubric`: a generator and its judges, as the flags name them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from inspector_plugin.cli import rubric_files
from inspector_plugin.cli.rubric_flags import say
from inspector_plugin.errors import ModelError, OptionError, count_of
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.judging.cache import JudgeCache, opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.options import JudgeSpec, OptionValue
from inspector_plugin.plugins.registry import JudgeRegistry, create_judge, make_registry
from inspector_plugin.rubrics.local_work import LocalWork
from inspector_plugin.rubrics.writer import (
    OF_SCORES,
    Writer,
    make_writer,
    usage_line,
    writer_options,
    writer_spec,
)
from inspector_plugin.schema.records import JudgeRequest, total_usage
from inspector_plugin.schema.usage import Usage

_TEXTS_ON_CPU, _TEXTS_ELSEWHERE = 1, 8


class Models:
    """The models of one run.

    Attributes:
        writer: The generator.
        cache: Where judgements are kept; None if nowhere.
        judge_spec: What names the judge.
    """

    def __init__(
        self, options: argparse.Namespace, writer: Writer, cache: JudgeCache | None
    ) -> None:
        """Take the flags, and what is open.

        Args:
            options: The flags of `rubric_flags.add_model_flags`, and perhaps --meta-judge.
            writer: The generator.
            cache: Where judgements are kept.
        """
        self.writer = writer
        self.cache = cache
        self.judge_spec = _spec(options.judge, options.generator)
        self._meta_spec = _spec(getattr(options, "meta_judge", None), options.generator)
        self._generator = options.generator
        self._registry = make_registry()
        self._defaults = model_defaults(options)

    def judge(self) -> Judge:
        """Make the judge that says which responses meet an item.

        Raises:
            OptionError: If it knows nothing of items; nothing has been paid for then.
        """
        made = self._made(self.judge_spec)
        assert made is not None
        if made.rubric_form is None:
            raise OptionError(
                f"--judge {self.judge_spec}: {self.judge_spec.name!r} does not execute the items "
                "of a rubric; give a prompt judge, such as deepseek."
            )
        return made

    def meta_judge(self, judge: Judge) -> Judge:
        """Make the judge that rates rubrics; the other one if the flags name no other."""
        if str(self._meta_spec) == str(self.judge_spec):
            return judge
        made = self._made(self._meta_spec)
        assert made is not None
        return made

    def say_cost_of_judging(self, requests: Sequence[JudgeRequest]) -> None:
        """Say what the judge would cost."""
        say(_estimated(self._made(self.judge_spec, dry_run=True), "judge", requests))

    def say_cost_of_meta_judging(self, requests: Sequence[JudgeRequest]) -> None:
        """Say what the meta-judge would cost."""
        say(_estimated(self._made(self._meta_spec, dry_run=True), "meta-judge", requests))

    def say_cost_of_writing(self) -> None:
        """Say what the generator has cost, or would."""
        say(usage_line("generator", self.writer.usage))

    @property
    def judges_here(self) -> bool:
        """Whether the judge runs on this machine."""
        return _is_local(self.judge_spec)

    @property
    def meta_reply_tokens(self) -> int | None:
        """The most tokens of a reply of the meta-judge; None if it writes none on this machine."""
        if self._meta_spec.name != "prompt" or not _is_local(self._meta_spec):
            return None
        given = self._meta_spec.options.get("max_tokens")
        return PromptOptions(max_tokens=None if given is None else int(given)).reply_tokens

    def say_time(self, work: Callable[[int], LocalWork]) -> None:
        """Say how long it may take, where the generator is a language model on this machine.

        Args:
            work: Says what there is to do, given the most tokens that the generator writes.
        """
        if not _is_local(writer_spec(self._generator)):
            return
        # The imports are here because torch takes seconds to load.
        from inspector_plugin.lm.batches import parse_batch_size
        from inspector_plugin.lm.loading import load_language_model
        from inspector_plugin.lm.speed import measure_speed

        generator = writer_options(self._generator, self._defaults)
        model, device, dtype = str(generator.model), generator.device, generator.dtype
        try:
            language_model = load_language_model(model, device, dtype)
            # Left to itself, a CPU writes one text at a time after prompts as long as these.
            usual = _TEXTS_ON_CPU if language_model.device.type == "cpu" else _TEXTS_ELSEWHERE
            at_once = parse_batch_size(generator.batch_size) or usual
            speed = measure_speed(language_model, at_once)
        except ModelError as error:
            if not self.writer.dry_run:
                raise
            say(f"time: not known: {error}")
        else:
            say(work(generator.reply_tokens).told(speed))

    def _made(self, spec: JudgeSpec, *, dry_run: bool = False) -> Judge | None:
        return make_judge(spec, self._registry, self._defaults, dry_run=dry_run)


@contextmanager
def opened_models(options: argparse.Namespace) -> Iterator[Models]:
    """Keep others from the output, and open the generator and the caches; close all at the end.

    Raises:
        OptionError, ModelError, DataError: If one of them cannot be had.
    """
    with (
        rubric_files.writing_rubric(options),
        make_writer(
            options.generator,
            model_defaults(options),
            cached=not options.no_cache,
            dry_run=options.dry_run,
        ) as writer,
        opened_cache(not options.no_cache) as cache,
    ):
        yield Models(options, writer, cache)


def model_defaults(options: argparse.Namespace) -> dict[str, OptionValue]:
    """What the flags set for the models of a run."""
    names = ("device", "dtype", "batch_size", "concurrency", "max_cost")
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _spec(given: str | None, generator: str) -> JudgeSpec:
    """The judge that a flag names; the generator's language model if it names none."""
    return writer_spec(generator) if given is None else JudgeSpec.parse(given)


def make_judge(
    spec: JudgeSpec,
    registry: JudgeRegistry,
    defaults: Mapping[str, OptionValue],
    *,
    dry_run: bool,
) -> Judge | None:
    """Make a judge; None in a dry run of one that costs no money."""
    known = {option.name for option in registry.get(spec.name).backend.option_list}
    is_local = spec.name == "prompt" and writer_is_local(spec)
    # All items, and all criteria, in one call; a model here gives probabilities of yes instead.
    given = dict(defaults) if is_local else {**defaults, "mode": "joint"}
    if not dry_run:
        return create_judge(spec, given, registry)
    if "dry_run" not in known or is_local:
        return None
    return create_judge(spec, {**given, "dry_run": True}, registry)


def writer_is_local(spec: JudgeSpec | str) -> bool:
    """Whether a generator is a language model on this machine."""
    parsed = writer_spec(spec) if isinstance(spec, str) else spec
    calls = {k: v for k, v in parsed.options.items() if k not in OF_SCORES}
    return writer_options(JudgeSpec(parsed.name, calls)).base_url is None


def _is_local(spec: JudgeSpec) -> bool:
    """Whether a generator or a judge is a model on this machine."""
    return spec.name != "deepseek" and (spec.name != "prompt" or writer_is_local(spec))


def _estimated(judge: Judge | None, name: str, requests: Sequence[JudgeRequest]) -> str:
    """Say in one line what judging would cost."""
    if judge is None:
        return f"{name}: {count_of(len(requests), 'response')} to judge on this machine, $0.0000"
    usage = total_usage(judge_all(judge, requests, name=name, progress=False)) or Usage()
    return (
        f"{name}: {count_of(usage.calls, 'call')}, {usage.prompt_tokens} prompt tokens, "
        f"{usage.completion_tokens} completion tokens, {usage.cost}"
    )

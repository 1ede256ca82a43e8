"""`inspector rubric tune`: improve a generator of rubrics by the rewards of its own rubrics."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from inspector_plugin.cli import flags, rubric_flags
from inspector_plugin.data.labelled import (
    LabelledFile,
    LabelledProblem,
    read_labelled,
    sample,
)
from inspector_plugin.errors import DataError, OptionError, count_of
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.report.tables import WIDTH, make_table, plain, print_tables, share
from inspector_plugin.rubrics.rewards import LABELS, META_JUDGE, length_matched

if TYPE_CHECKING:
    from inspector_plugin.rubrics.tuning_stages import Tuned, TuningPlan

AUTO = "auto"
_ALPHA_PER_RANK = 2.0


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector rubric`."""
    parser = actions.add_parser(
        "tune",
        help="improve the generator of rubrics by the rewards of its own rubrics",
        description="Draw rubrics for each problem from a language model, reward them by how a "
        "judge that goes by them orders responses that people have labelled (or by what the judge "
        "says of the rubrics), and train a LoRA adapter: on the best, then by DPO on best against "
        "worst. A run that was interrupted resumes when it is called again. Needs "
        "inspector_plugin[tune].",
    )
    parser.add_argument(
        "data",
        nargs="+",
        type=Path,
        metavar="DATA",
        help="JSONL: rows of a question, its responses and which is preferred (0 or 1); or rows of "
        "a question, a response and, if known, a label",
    )
    parser.add_argument(
        "--generator",
        required=True,
        metavar="MODEL",
        help="the language model to tune: an installed name, a folder, a hub id, or prompt:model=",
    )
    parser.add_argument("--judge", required=True, metavar="SPEC", help=flags.SPEC_HELP)
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="the adapter to write"
    )
    flags.add_overwrite_flag(parser)
    parser.add_argument(
        "--reward",
        choices=(AUTO, LABELS, META_JUDGE),
        default=AUTO,
        help="whether labels of people reward a rubric, or the judge's opinion of it (default: "
        "labels where there are any)",
    )
    parser.add_argument(
        "--no-length-matching",
        action="store_true",
        help="keep problems whose better response is longer, however many there are",
    )
    parser.add_argument(
        "--no-responses", action="store_true", help="show the generator the problem alone"
    )
    flags.add_counts(
        parser,
        ("--candidates", 8, "rubrics drawn for each problem"),
        ("--rounds", 2, "rounds of DPO"),
        ("--max-tokens", 512, "most tokens of a rubric"),
        ("--at-once", 1, "problems to draw rubrics for in one batch"),
        ("--epochs", 1, "how often training sees each example"),
        ("--rank", 16, "rank of the LoRA matrices"),
        ("--train-batch", 8, "examples for each step of training"),
    )
    parser.add_argument(
        "--temperature", type=flags.above_zero, default=1.0, metavar="X", help="default: 1.0"
    )
    parser.add_argument(
        "--learning-rate",
        type=flags.above_zero,
        metavar="X",
        help="of training (default: 1e-4 supervised, 5e-5 DPO)",
    )
    parser.add_argument(
        "--beta", type=flags.above_zero, default=0.1, metavar="X", help="DPO's beta (default: 0.1)"
    )
    rubric_flags.add_parts_flags(parser)
    flags.add_judge_option(
        parser, "labels", "device", "dtype", "batch_size", "concurrency", "max_cost"
    )
    flags.add_cache_flag(parser)
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_rubric_tune)


def run_rubric_tune(options: argparse.Namespace) -> int:
    """Tune, and print what came of each stage."""
    # The import is here because torch and transformers take seconds to load.
    from inspector_plugin.lm.lora import require_trainers
    from inspector_plugin.rubrics.tune import tune

    require_trainers()
    _require_no_file_of_ours(options)
    spec = JudgeSpec.parse(options.judge)
    registry, defaults = make_registry(), flags.judge_defaults(options)
    # The device and the number format are the generator's, too.
    judge_only = {k: v for k, v in defaults.items() if k not in ("device", "dtype")}
    flags.require_use(judge_only, [spec], registry)
    files = [sample(each, options.sample, options.seed) for each in _read(options)]
    problems, reward = _problems(files, options)
    with (
        create_judge(spec, defaults, registry) as judge,
        opened_cache(not options.no_cache) as cache,
    ):
        tuned = tune(
            problems,
            _plan(options, reward),
            judge,
            options.out,
            judge_name=spec.name,
            cache=cache,
            overwrite=options.overwrite,
        )
    _print(tuned)
    return 0


def _plan(options: argparse.Namespace, reward: str) -> TuningPlan:
    from inspector_plugin.lm.lora_plan import LoraSettings
    from inspector_plugin.rubrics.sampling import Draw
    from inspector_plugin.rubrics.tuning_stages import TuningPlan

    settings = LoraSettings(
        rank=options.rank,
        alpha=_ALPHA_PER_RANK * options.rank,
        epochs=options.epochs,
        batch_size=options.train_batch,
        beta=options.beta,
        seed=options.seed,
    )
    supervised, preference = (
        replace(settings, learning_rate=options.learning_rate or usual) for usual in (1e-4, 5e-5)
    )
    return TuningPlan(
        base=_model_of(options.generator),
        reward=reward,
        draw=Draw(
            candidates=options.candidates,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            at_once=options.at_once,
            seed=options.seed,
        ),
        rounds=options.rounds,
        shown=not options.no_responses,
        supervised=supervised,
        preference=preference,
        device=options.device,
        dtype=options.dtype,
    )


def _model_of(generator: str) -> str:
    """The language model of a generator, given by its name or as `rubric generate` takes it.

    Raises:
        OptionError: If its weights are not on this machine.
    """
    if not generator.startswith("prompt:"):
        return generator
    given = JudgeSpec.parse(generator).options
    if set(given) != {"model"}:
        raise OptionError(
            f"--generator {generator!r}: what is tuned is a language model whose weights can be "
            "read; give its name, its folder or a hub id."
        )
    return str(given["model"])


def _read(options: argparse.Namespace) -> list[LabelledFile]:
    form = rubric_flags.labelled_form(options)
    return [read_labelled(path, form) for path in options.data]


def _problems(
    files: Sequence[LabelledFile], options: argparse.Namespace
) -> tuple[list[LabelledProblem], str]:
    """Choose the problems, each once, and the kind of reward.

    Raises:
        DataError: If labels are asked for and no problem has any that differ.
    """
    every = list({each.problem: each for file in files for each in file.problems}.values())
    labelled = [each for each in every if each.contrast is not None]
    if options.reward == META_JUDGE or (options.reward == AUTO and not labelled):
        return every, META_JUDGE
    if not labelled:
        raise DataError(
            "No problem has two responses whose labels differ; name the field of the label with "
            "--label-field, or take --reward meta-judge."
        )
    if len(labelled) < len(every):
        left_out = f"{len(every) - len(labelled)} of {count_of(len(every), 'problem')} left out"
        _say(f"{left_out}: no labels that differ")
    if options.no_length_matching:
        return labelled, LABELS
    kept, done = length_matched(labelled, options.seed)
    if done is not None:
        _say(done)
    return kept, LABELS


def _require_no_file_of_ours(options: argparse.Namespace) -> None:
    """Refuse an output that is an input.

    Raises:
        OptionError: If it is.
    """
    out = options.out.resolve()
    for path in (*options.data, Path(_model_of(options.generator))):
        if path.exists() and (path.resolve() == out or out in path.resolve().parents):
            raise OptionError(f"--out {options.out} holds an input ({path}); give another folder.")


def _print(tuned: Tuned) -> None:
    rows = []
    for stage in tuned.stages:
        training = stage.training
        rows.append(
            [
                stage.name,
                str(stage.problems),
                f"{stage.valid}/{stage.candidates}",
                str(stage.dropped),
                str(stage.unused),
                "-" if stage.mean_reward is None else share(stage.mean_reward),
                "0" if training is None else str(training.examples),
                "-" if training is None else f"{training.losses[0]:.3f}",
                "-" if training is None else f"{training.losses[-1]:.3f}",
            ]
        )
    heads = ["stage", "problems", "valid", "dropped", "unused", "reward", "trained"]
    print_tables(
        make_table("Tuning the generator of rubrics", [*heads, "first loss", "last"], rows)
    )
    _put(
        "dropped: problems with fewer than two valid rubrics. unused: no reward above chance, or "
        "no two rubrics of similar length that differ in reward. reward: mean over valid rubrics."
    )
    if tuned.too_long:
        left_out = count_of(tuned.too_long, "problem")
        _put(f"{left_out} left out: the generator has no room for the prompt.")
    _put(f"written to {tuned.folder}; use it with --generator prompt:model={tuned.folder}")


def _put(text: str) -> None:
    print(textwrap.fill(plain(text), WIDTH))


def _say(text: str) -> None:
    print(plain(f"inspector rubric tune: {text}"), file=sys.stderr)

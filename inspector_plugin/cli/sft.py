"""`inspector sft`: train on the responses that a judge prefers, and test whether it helps."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from inspector_plugin.cli import flags
from inspector_plugin.cli.sft_flags import (
    add_choice_flags,
    add_test_flags,
    add_training_flags,
)
from inspector_plugin.data.arms import RANDOM, Arms
from inspector_plugin.data.best_rows import choose_judge
from inspector_plugin.data.files import locked, write_whole
from inspector_plugin.data.jsonl import file_sha256, read_rows, text_field
from inspector_plugin.data.score_table import read_score_table
from inspector_plugin.errors import DataError, OptionError, count_of
from inspector_plugin.report.tables import plain, print_tables
from inspector_plugin.schema.criteria import TOTAL

if TYPE_CHECKING:
    from inspector_plugin.lm.loading import LanguageModel
    from inspector_plugin.lm.lora_plan import Example
    from inspector_plugin.workflows.sft import Study
    from inspector_plugin.workflows.sft_encoding import Encoding, GoldAnswer, StudyTexts
    from inspector_plugin.workflows.sft_plan import SftPlan
    from inspector_plugin.workflows.task_test import TaskTest

LOSS = "loss on gold answers (nats per token)"


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "sft",
        help="fine-tune on the responses that a judge prefers, and test it",
        description="Train a LoRA adapter of MODEL on the best of judged responses, and others on "
        "as many random ones, the worst, and all; then test each beside the base model: by lm_eval "
        "(--test) and by the loss on gold answers (--gold). Rows whose problem is in the test data "
        "are left out. A run that was interrupted resumes when it is called again: finished arms "
        "and tests are kept. Needs inspector_plugin[tune].",
    )
    parser.add_argument("file", type=Path, metavar="JUDGED", help="judgement file or sample log")
    parser.add_argument("--model", required=True, metavar="MODEL", help="the base model")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where adapters and figures go"
    )
    flags.add_overwrite_flag(parser)
    add_choice_flags(parser)
    add_training_flags(parser)
    add_test_flags(parser)
    flags.add_judge_option(parser, "device", "dtype")
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_sft)


def run_sft(options: argparse.Namespace) -> int:
    """Train and test the arms, and print the figures."""
    _require_sense(options)
    table = read_score_table([options.file])
    judge = choose_judge(table, options.judge)
    # Torch and lm_eval take seconds to import; a mistake in the options shows before that.
    from inspector_plugin.lm.lora import require_trainers
    from inspector_plugin.report.sft import arms_table
    from inspector_plugin.workflows.sft import Study
    from inspector_plugin.workflows.sft_data import arms_of, read_responses
    from inspector_plugin.workflows.sft_encoding import StudyTexts, store_encoding, stored_encoding

    require_trainers()
    plan, test = _plan(options), _test(options)
    responses, left_out = read_responses(
        table, judge, options.by, options.drop_flagged, _tested(options, test)
    )
    if options.drop_flagged is not None:
        seen = table.flags_by(judge)
        flags.warn_of_unseen_flags("--drop-flagged", options.drop_flagged.names, seen)
    texts = StudyTexts(responses, left_out, _gold(options))
    stored = None if options.overwrite else stored_encoding(options.out, plan, texts)
    encoding = stored or _encode(options, plan, texts)
    data, gold = encoding.data, encoding.gold
    _tell_gold(options, len(texts.gold), len(gold))
    arms = arms_of(plan, data)
    with locked(options.out):
        study = Study(options.out, plan, data, arms)
        study.open(options.overwrite)
        if stored is None:
            store_encoding(options.out, plan, texts, encoding)
        print_tables(*arms_table(arms, data.left_out))
        scores = {
            "judge": judge,
            "by": options.by or TOTAL,
            "file_sha256": file_sha256(options.file),
        }
        for name in plan.arms:
            done = "trained" if study.train(name, scores) else "was trained before"
            print(f"inspector sft: {name} {done}", file=sys.stderr)
        if test is not None or gold:
            measured = _measure(study, options, test, gold)
            _conclude(options, arms, data.left_out, measured)
    return 0


def _require_sense(options: argparse.Namespace) -> None:
    from inspector_plugin.workflows.sft_plan import QUESTION

    if QUESTION not in options.prompt:
        raise OptionError(f"--prompt must hold {QUESTION}, where the problem goes.")
    if options.fewshot < 0:
        raise OptionError(f"--fewshot must be at least 0, not {options.fewshot}.")
    for path in (options.file, options.gold, *options.exclude):
        if path is not None and path.resolve().is_relative_to(options.out.resolve()):
            raise OptionError(f"--out {options.out} holds {path}, which the run reads.")
    for flag, needs in (("test_limit", "test"), ("gold_limit", "gold")):
        if getattr(options, flag) is not None and getattr(options, needs) is None:
            raise OptionError(f"{flags.flag_of(flag)} goes with {flags.flag_of(needs)}.")


def _plan(options: argparse.Namespace) -> SftPlan:
    from inspector_plugin.lm.lora_plan import LoraSettings
    from inspector_plugin.workflows.sft_plan import SftPlan

    settings = LoraSettings(
        rank=options.rank,
        alpha=2.0 * options.rank,
        learning_rate=options.learning_rate,
        batch_size=options.train_batch,
        at_once=options.at_once,
        seed=options.seed,
    )
    return SftPlan(
        base=options.model,
        arms=tuple(options.arms),
        share=options.share,
        epochs=options.epochs,
        tolerance=options.tolerance,
        prompt=options.prompt,
        max_length=options.max_length,
        settings=settings,
        dtype=options.dtype,
        device=options.device,
    )


def _test(options: argparse.Namespace) -> TaskTest | None:
    if options.test is None:
        return None
    from inspector_plugin.workflows.task_test import TaskTest

    return TaskTest(
        options.test,
        options.data,
        options.test_limit,
        options.fewshot,
        options.max_tokens,
        options.test_batch,
        options.seed,
    )


def _tested(options: argparse.Namespace, test: TaskTest | None) -> frozenset[str]:
    """The problems that must not be trained on."""
    from inspector_plugin.workflows.sft_data import problems_of_file

    files = [*options.exclude, *([options.gold] if options.gold else [])]
    found = frozenset().union(*map(problems_of_file, files)) if files else frozenset[str]()
    return found if test is None else found | test.problems()


def _gold(options: argparse.Namespace) -> list[GoldAnswer]:
    """Read problems and gold answers."""
    rows = () if options.gold is None else read_rows(options.gold)
    found = []
    for number, row in islice(rows, options.gold_limit):
        where = f"{options.gold}, line {number}"
        question = text_field(row, ("question", "problem"), where)
        found.append((question, text_field(row, ("answer", "solution"), where)))
    return found


def _encode(options: argparse.Namespace, plan: SftPlan, texts: StudyTexts) -> Encoding:
    """Encode what the study reads; training loads a model of its own."""
    from inspector_plugin.lm.loading import load_language_model
    from inspector_plugin.workflows.sft_encoding import encode_texts

    language_model = load_language_model(options.model, options.device, options.dtype)
    return encode_texts(language_model, plan, texts)


def _tell_gold(options: argparse.Namespace, given: int, fit: int) -> None:
    """Say how many gold answers are left out; at least one has to be there."""
    if fit < given:
        answers = count_of(given - fit, "answer")
        print(f"inspector sft: --gold: {answers} longer than the context left out", file=sys.stderr)
    if options.gold is not None and not fit:
        raise DataError(f"--gold {options.gold} holds no answer to measure the loss on.")


# By measure and arm the values, one for each problem; and what each problem counts.
_Values = dict[str, dict[str, dict[str, float]]]


def _measure(
    study: Study, options: argparse.Namespace, test: TaskTest | None, gold: Sequence[Example]
) -> tuple[_Values, dict[str, float]]:
    """Test the base model and every arm, as far as that was not done before."""
    from inspector_plugin.lm.answer_loss import answer_losses
    from inspector_plugin.workflows.sft import BASE

    values: _Values = {}
    tokens = {str(place): float(len(each.completion)) for place, each in enumerate(gold)}
    loads = {"base": options.model, "dtype": options.dtype}
    gold_settings = {
        **loads,
        "prompt": options.prompt,
        "limit": options.gold_limit,
        "sha256": None if options.gold is None else file_sha256(options.gold),
    }
    names = (BASE, *options.arms)
    for name in names:
        # Loaded where a measure is missing, and once for both.
        model = cache(partial(_model, study, options, name))
        if gold:
            found = study.stored_test(name, "loss", gold_settings)
            if found is None:
                found = answer_losses(model(), gold, f"Loss ({name})")
                study.store_test(name, "loss", gold_settings, found)
            by_row = {str(place): loss / tokens[str(place)] for place, loss in enumerate(found)}
            values.setdefault(LOSS, {})[name] = by_row
        if test is not None:
            settings = {**loads, **test.to_json()}
            found = study.stored_test(name, "task", settings)
            if found is None:
                print(f"inspector sft: testing {name} on {test.task}", file=sys.stderr)
                found = test.run(model())
                study.store_test(name, "task", settings, found)
            for metric, by_document in found.items():
                values.setdefault(metric, {})[name] = by_document
    return values, tokens


def _model(study: Study, options: argparse.Namespace, name: str) -> LanguageModel:
    """Load the base model, or the base model with an arm's adapter merged into it."""
    from inspector_plugin.lm.loading import load_language_model
    from inspector_plugin.workflows.sft import BASE

    source = options.model if name == BASE else str(study.adapter(name))
    return load_language_model(source, options.device, options.dtype)


def _conclude(
    options: argparse.Namespace,
    arms: Arms,
    left_out: Mapping[str, int],
    measured: tuple[_Values, dict[str, float]],
) -> None:
    """Print the figures, and write them down."""
    import numpy as np

    from inspector_plugin.agreement.paired_means import paired_means
    from inspector_plugin.report.sft import figures_to_json, measure_table
    from inspector_plugin.workflows.sft import BASE

    values, tokens = measured
    against = RANDOM if RANDOM in options.arms else BASE
    found, counts = {}, {}
    for measure, by_arm in values.items():
        documents = list(next(iter(by_arm.values())))
        columns = {
            name: np.array([by_document[each] for each in documents])
            for name, by_document in by_arm.items()
        }
        weights = np.array([tokens[each] for each in documents]) if measure == LOSS else None
        counts[measure] = len(documents)
        found[measure] = paired_means(
            columns, np.arange(len(documents)), weights, against=against, seed=options.seed
        )
        print_tables(measure_table(measure, found[measure], counts[measure], against))
    path = options.out / "figures.json"
    content = {
        "against": against,
        "seed": options.seed,
        **figures_to_json(arms, left_out, found, counts),
    }
    try:
        write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error}.") from error
    print(plain(f"adapters and figures.json written to {options.out}"), file=sys.stderr)

"""`inspector collect`: responses of any lm_eval model to GSM8K, MATH or GPQA."""

from __future__ import annotations

import argparse
import importlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.cli import flags
from inspector_plugin.data.benchmarks import BENCHMARKS, Question
from inspector_plugin.errors import DataError, count_of
from inspector_plugin.judging.resume import opened_output


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "collect",
        description="Generate responses with any model class of lm_eval and write rows of id, "
        "dataset, question and response, as inspector label and inspector score read them. Where "
        "OUT is there already, made the same way, nothing is generated.",
    )
    parser.add_argument("--dataset", required=True, choices=tuple(BENCHMARKS))
    parser.add_argument("--model", default="hf", help="lm_eval's model class (default: hf)")
    parser.add_argument("--model_args", default="", metavar="ARGS", help="its arguments")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="JSONL to write")
    flags.add_overwrite_flag(parser)
    parser.add_argument(
        "--split",
        choices=("train", "test"),
        help="default: train, so that what is trained on it can be tested on test",
        default="train",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="folder with the data; default: INSPECTOR_DATA or the hub"
    )
    parser.add_argument("--batch_size", default="1", help="lm_eval's batch size (default: 1)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...")
    flags.add_limit_flag(parser)
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_collect)


def run_collect(options: argparse.Namespace) -> int:
    """Generate the responses.

    Raises:
        DataError: If the data cannot be had, or the output cannot be written.
    """
    if options.dataset == "gpqa" and options.split == "test":
        raise DataError("GPQA has no test split; leave --split out.")
    flags.check_output(options.out, *_data_files(options.data))
    if os.environ.get("RANK", "0") != "0":  # of several processes, the first one writes
        _generate(options)
        return 0
    chosen = ("dataset", "model", "model_args", "split", "data", "limit", "seed")
    made_by = {
        "inspector_plugin": __version__,
        "command": "collect",
        **{name: getattr(options, name) for name in chosen},
    }
    with opened_output(options.out, made_by, options.overwrite) as output:
        if output.resumed:
            print(f"{options.out} holds these responses already; --overwrite generates them anew")
            return 0
        samples = _generate(options)
        if samples is None:  # lm_eval: another process has them all
            return 0
        rows = list(collected_rows(samples, options.dataset, options.split))
        output.replace(json.dumps(row) + "\n" for row in rows)
    print(f"{count_of(len(rows), 'response')} written to {options.out}")
    return 0


def _data_files(data: str | None) -> list[Path]:
    """The files in the folder that the problems come from, if they come from one."""
    folder = data or os.environ.get("INSPECTOR_DATA")
    return [] if not folder else [path for path in Path(folder).rglob("*") if path.is_file()]


def _generate(options: argparse.Namespace) -> Mapping[str, list[dict[str, Any]]] | None:
    """Let lm_eval generate; return its samples by task."""
    # Where Python does not read .pth files (python -S), the tasks would stay hidden.
    importlib.import_module("_inspector_lmeval_hook").install()
    # Imported here, so that `inspector --help` waits for no lm_eval.
    import lm_eval

    from inspector_plugin.harness.command_line import calling_lm_eval
    from inspector_plugin.harness.settings import Settings

    metadata = {
        "judge": [],
        "data": options.data,
        "seed": options.seed,
        "split": options.split,
    }
    given = {key: value for key, value in metadata.items() if value is not None}
    Settings.read(given)  # what is wrong with it shows before a model is loaded
    with calling_lm_eval():
        results = lm_eval.simple_evaluate(
            model=options.model,
            model_args=options.model_args,
            tasks=list(BENCHMARKS[options.dataset].tasks),
            batch_size=options.batch_size,
            device=options.device,
            limit=options.limit,
            predict_only=True,
            log_samples=True,
            bootstrap_iters=0,
            metadata=given,
        )
    if results is None:
        return None
    samples: Mapping[str, list[dict[str, Any]]] = results["samples"]
    return samples


def collected_rows(
    samples: Mapping[str, list[dict[str, Any]]], dataset: str, split: str
) -> Iterator[dict[str, str]]:
    """Turn lm_eval's samples into rows: the problem as a judge sees it, and the whole response."""
    question = Question(BENCHMARKS[dataset].question)
    for task, of_task in samples.items():
        for doc_id, sample in {sample["doc_id"]: sample for sample in of_task}.items():
            for response in sample["resps"][0]:
                yield {
                    "id": f"{task}/{split}/{doc_id}",
                    "dataset": dataset,
                    "question": question.of(sample["doc"]),
                    "response": response,
                }

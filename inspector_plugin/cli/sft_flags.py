"""The flags of `inspector sft`: which rows, how they are trained on, and what tests them."""

from __future__ import annotations

import argparse
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.data.arms import ARMS, TOLERANCE
from inspector_plugin.schema.criteria import TOTAL

PROMPT = "Question: {question}\nAnswer:"


def add_choice_flags(parser: flags.Parser) -> None:
    """Add the flags that choose the rows of the arms."""
    parser.add_argument(
        "--judge", metavar="NAME", help="whose scores decide, where there are several judges"
    )
    parser.add_argument(
        "--by",
        metavar="KEY",
        help=f"the criterion that decides, or {TOTAL} (default: {TOTAL}, the sum of all criteria)",
    )
    flags.add_drop_flagged_flag(parser)
    parser.add_argument(
        "--arms",
        type=_arms,
        default=ARMS,
        metavar="LIST",
        help=f"which arms, comma-separated (default: {','.join(ARMS)})",
    )
    parser.add_argument(
        "--share",
        type=flags.share,
        default=0.25,
        metavar="SHARE",
        help="how much of the problems an arm holds, one response each (default: 0.25)",
    )
    parser.add_argument(
        "--tolerance",
        type=flags.share,
        default=TOLERANCE,
        metavar="SHARE",
        help=f"by how much the arms may differ in tokens to learn (default: {TOLERANCE:g})",
    )


def add_training_flags(parser: flags.Parser) -> None:
    """Add the flags of training."""
    parser.add_argument(
        "--prompt",
        default=PROMPT,
        metavar="TEXT",
        help="what the model is asked, {question} standing for the problem: the prompt of the test "
        "(default: that of lm_eval's gsm8k)",
    )
    flags.add_counts(
        parser,
        ("--epochs", 4, "how often an arm shows each of its rows"),
        ("--rank", 16, "rank of the LoRA matrices"),
        ("--train-batch", 8, "examples for each step of training"),
        ("--at-once", 1, "examples in memory at once"),
        ("--max-length", 1024, "most tokens of prompt and response; longer rows are left out"),
    )
    parser.add_argument(
        "--learning-rate", type=flags.above_zero, default=2e-4, metavar="X", help="default: 2e-4"
    )


def add_test_flags(parser: flags.Parser) -> None:
    """Add the flags of the tests."""
    parser.add_argument(
        "--test", metavar="TASK", help="a task of lm_eval to test on, such as gsm8k_inspector"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder with the data of our own tasks; default: INSPECTOR_DATA or the hub",
    )
    parser.add_argument(
        "--test-limit", type=flags.positive, metavar="N", help="only the first N problems"
    )
    flags.add_counts(
        parser,
        ("--max-tokens", 256, "most tokens of a response in the test"),
        ("--test-batch", 16, "responses written at once in the test"),
    )
    parser.add_argument(
        "--fewshot",
        type=int,
        default=0,
        metavar="N",
        help="examples in a test's prompt (default: 0)",
    )
    parser.add_argument(
        "--gold",
        type=Path,
        metavar="FILE",
        help="JSONL of question and answer, to measure the loss of the answers on",
    )
    parser.add_argument(
        "--gold-limit", type=flags.positive, metavar="N", help="only the first N answers"
    )
    parser.add_argument(
        "--exclude",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="JSONL of further problems not to train on; may be given several times",
    )


def _arms(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in ARMS:
            raise argparse.ArgumentTypeError(
                f"{name[:40]!r} is no arm; choose from {', '.join(ARMS)}"
            )
    if not names:
        raise argparse.ArgumentTypeError(f"name at least one of {', '.join(ARMS)}")
    return names

"""The flags that several commands share: the same words, meaning the same everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from inspector_plugin.aspects import ASPECT_KEYS
from inspector_plugin.errors import OptionError
from inspector_plugin.judge import JudgeSpec, OptionValue
from inspector_plugin.plugins import JudgeRegistry
from inspector_plugin.schema import SCALES

SPEC_HELP = "name, or name:key=value,key=value; `inspector judges` lists them"
ASPECTS_HELP = f"comma-separated, of: {', '.join(ASPECT_KEYS)} (default: all)"
_JUDGE_OPTIONS = (
    "labels",
    "device",
    "dtype",
    "batch_size",
    "keep",
    "concurrency",
    "max_cost",
    "dry_run",
)


def add_judge_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose the judges and what they run on."""
    parser.add_argument(
        "--judge",
        action="append",
        required=True,
        metavar="SPEC",
        help=f"{SPEC_HELP}; may be given several times",
    )
    parser.add_argument(
        "--reference", metavar="SPEC", help="the judge that the others are compared with"
    )
    parser.add_argument("--labels", choices=tuple(SCALES), help="scores 1-5, or low/high quality")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--dtype", help="number format of the judge's language model")
    add_batch_flag(parser)


def judge_defaults(options: argparse.Namespace) -> dict[str, OptionValue]:
    """Return what the flags set for every judge that has such an option."""
    given = {name: getattr(options, name, None) for name in _JUDGE_OPTIONS}
    if given["batch_size"] is not None:
        given["batch_size"] = str(given["batch_size"])  # the option takes "auto" as well
    return {name: value for name, value in given.items() if value is not None}


def require_use(
    defaults: Mapping[str, OptionValue], specs: Sequence[JudgeSpec], registry: JudgeRegistry
) -> None:
    """Refuse a flag that none of the judges has an option for, in place of ignoring it.

    Raises:
        OptionError: If there is one.
    """
    known = {option.name for spec in specs for option in registry.get(spec.name).backend.options}
    for name in defaults:
        if name not in known:
            judges = ", ".join(spec.name for spec in specs)
            flag = name.replace("_", "-")
            raise OptionError(f"--{flag}: none of the judges ({judges}) has such an option.")


def add_call_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for judges that make calls, and for the judge cache."""
    parser.add_argument(
        "--concurrency", type=positive, metavar="N", help="most calls at once (default: 32)"
    )
    parser.add_argument(
        "--max-cost", type=float, metavar="DOLLARS", help="stop before the calls cost more"
    )
    add_cache_flag(parser)


def add_cache_flag(parser: argparse.ArgumentParser) -> None:
    """Add --no-cache."""
    parser.add_argument(
        "--no-cache", action="store_true", help="neither read nor fill the judge cache"
    )


def add_limit_flag(parser: argparse.ArgumentParser) -> None:
    """Add --limit, a positive number."""
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N")


def add_batch_flag(parser: argparse.ArgumentParser) -> None:
    """Add --batch-size of a language model."""
    parser.add_argument(
        "--batch-size",
        type=_batch_size,
        metavar="auto|N",
        help="most prompts that the language model reads at once (default: auto, what fits)",
    )


def add_seed_flag(parser: argparse.ArgumentParser) -> None:
    """Add --seed."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")


def _batch_size(text: str) -> int | None:
    return None if text == "auto" else positive(text)


def positive(text: str) -> int:
    """Read a positive whole number."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number

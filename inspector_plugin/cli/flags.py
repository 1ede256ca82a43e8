"""The flags that several commands share: the same words, meaning the same everywhere."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from inspector_plugin.agreement.bootstrap import MOST_RESAMPLES
from inspector_plugin.data.files import require_output
from inspector_plugin.data.text import plain
from inspector_plugin.errors import OptionError
from inspector_plugin.folders import expanded
from inspector_plugin.judges.lager.options import LagerOptions
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.plugins.options import JudgeSpec, Option, OptionValue, options_of
from inspector_plugin.plugins.registry import JudgeRegistry
from inspector_plugin.schema.flags import DroppedFlags

SPEC_HELP = "name, or name:key=value,key=value; `inspector judges` lists them"
CRITERIA_HELP = (
    "what to judge on, comma-separated: roscoe, some of its keys, or criteria files "
    "(default: roscoe)"
)
SCORED_BY_HELP = "whose scores to take, where the file has those of several judges"
MOST_SEED = 2**32 - 1
# Flags that set an option for every judge of a run that has it.
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
_DECLARED = {
    option.name: option for option in (*options_of(LagerOptions), *options_of(PromptOptions))
}


class Parser(argparse.ArgumentParser):
    """A parser that takes flags by their whole names only.

    Attributes:
        bare_flags: Flags that take their value by "=" and may stand without one, which argparse
            would take from the argument that follows.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.bare_flags: set[str] = set()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; a bare flag has an empty value."""
        given = sys.argv[1:] if args is None else list(args)
        end = given.index("--") if "--" in given else len(given)
        for each in given[:end]:
            if each.startswith("--") and each.endswith("=--"):  # argparse would hand on a list
                self.error(f"argument {each[:-3]}: expected one argument")
        given[:end] = [f"{each}=" if each in self.bare_flags else each for each in given[:end]]
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and how to get help."""
        if message.startswith("unrecognized arguments") and "run" in sys.argv[1:2]:
            message += " (lm_eval's own arguments come after --)"
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


Commands = argparse._SubParsersAction  # the type that add_subparsers returns, without its own name


def flag_of(name: str) -> str:
    """The flag of an option."""
    return "--" + name.replace("_", "-")


def add_option(
    parser: argparse.ArgumentParser, option: Option, default: OptionValue = None
) -> None:
    """Add the flag of an option: its type, choices and help are those declared.

    Args:
        parser: The parser.
        option: The option.
        default: The flag's value if it is not given; None leaves the option to its own default.
    """
    says_default = "default" in option.help or option.default is None
    text = option.help if says_default else f"{option.help} (default: {option.default})"
    text = text.replace("%", "%%")
    if option.type is bool:
        parser.add_argument(
            flag_of(option.name),
            action=argparse.BooleanOptionalAction,
            default=default,
            help=text,
        )
        return
    parser.add_argument(
        flag_of(option.name),
        type=option.type,
        default=default,
        choices=option.choices or None,
        metavar=None if option.choices else option.type.__name__.upper(),
        help=text,
    )


def add_options(parser: argparse.ArgumentParser, options_class: type) -> None:
    """Add the flags of all options that an options class declares, with their defaults."""
    for option in options_of(options_class):
        add_option(parser, option, option.default)


def chosen_options(options: argparse.Namespace, options_class: type) -> dict[str, Any]:
    """Return what the flags of an options class were set to."""
    return {option.name: getattr(options, option.name) for option in options_of(options_class)}


def add_judge_option(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add flags that set an option for every judge that has it."""
    for name in names:
        add_option(parser, _DECLARED[name])


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
    add_judge_option(parser, "labels", "device", "dtype", "batch_size")


def judge_defaults(options: argparse.Namespace) -> dict[str, OptionValue]:
    """Return what the flags set for every judge that has such an option."""
    given = {name: getattr(options, name, None) for name in _JUDGE_OPTIONS}
    return {name: value for name, value in given.items() if value is not None}


def require_use(
    defaults: Mapping[str, OptionValue], specs: Sequence[JudgeSpec], registry: JudgeRegistry
) -> None:
    """Refuse a flag that none of the judges has an option for, in place of ignoring it.

    Raises:
        OptionError: If there is one.
    """
    backends = [registry.get(spec.name).backend for spec in specs]
    known = {option.name for backend in backends for option in backend.option_list}
    for name in defaults:
        if name not in known:
            judges = ", ".join(spec.name for spec in specs)
            raise OptionError(f"{flag_of(name)}: none of the judges ({judges}) has such an option.")


def defaults_of_priced(
    options: argparse.Namespace, spec: JudgeSpec, registry: JudgeRegistry
) -> dict[str, OptionValue]:
    """Return what the flags set for the judge of a command that has --dry-run.

    Raises:
        OptionError: If the judge has no option for one of them; with --dry-run, if its calls cost
            no money.
    """
    defaults = judge_defaults(options)
    if not options.dry_run:
        defaults.pop("dry_run", None)
    elif "dry_run" not in {o.name for o in registry.get(spec.name).backend.option_list}:
        raise OptionError(f"--dry-run: judge {spec.name!r} makes no calls that cost money.")
    require_use(defaults, [spec], registry)
    return defaults


def add_cache_flag(parser: argparse.ArgumentParser) -> None:
    """Add --no-cache."""
    parser.add_argument(
        "--no-cache", action="store_true", help="neither read nor fill the judge cache"
    )


def add_criteria_flag(parser: argparse.ArgumentParser, help: str = CRITERIA_HELP) -> None:
    """Add --criteria, also under the name that version 0.1 had."""
    parser.add_argument("--criteria", metavar="LIST", help=help)
    parser.add_argument("--aspects", dest="criteria", help=argparse.SUPPRESS)


def add_scored_by_flag(parser: argparse.ArgumentParser) -> None:
    """Add --scored-by."""
    parser.add_argument("--scored-by", metavar="JUDGE", help=SCORED_BY_HELP)


def add_dataset_flag(parser: argparse.ArgumentParser) -> None:
    """Add --dataset, of rows that name none."""
    parser.add_argument("--dataset", metavar="NAME", help="the data set of rows that name none")


def add_drop_flagged_flag(parser: Parser) -> None:
    """Add --drop-flagged, with or without the flags that it means."""
    parser.bare_flags.add("--drop-flagged")
    parser.add_argument(
        "--drop-flagged",
        type=DroppedFlags.parse,
        metavar="FLAG,...",
        help="leave flagged scores out: --drop-flagged all of them, --drop-flagged=off-task those "
        "with one of some flags",
    )


def warn_of_unseen_flags(flag: str, wanted: Iterable[str], seen: Collection[str]) -> None:
    """Say which of the flags of scores that were named no score has."""
    for name in sorted(set(wanted).difference(seen)):
        print(plain(f"inspector: {flag}: no score has the flag {name}"), file=sys.stderr)


def add_limit_flag(parser: argparse.ArgumentParser) -> None:
    """Add --limit, a positive number."""
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N")


def add_seed_flag(parser: argparse.ArgumentParser) -> None:
    """Add --seed."""
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="default: 0")


def add_overwrite_flag(parser: argparse.ArgumentParser) -> None:
    """Add --overwrite."""
    parser.add_argument("--overwrite", action="store_true", help="begin OUT anew")


def positive(text: str) -> int:
    """Read a positive whole number."""
    return _whole(text, 1, sys.maxsize)


def count(text: str) -> int:
    """Read a whole number that may be 0."""
    return _whole(text, 0, sys.maxsize)


def resamples(text: str) -> int:
    """Read a number of resamples of the bootstrap, at least 1."""
    return _whole(text, 1, MOST_RESAMPLES)


def seed(text: str) -> int:
    """Read a seed, as NumPy takes it."""
    return _whole(text, 0, MOST_SEED)


def number(text: str) -> float:
    """Read a number; not finite ones."""
    try:
        found = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number") from error
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a finite number")
    return found


def above_zero(text: str) -> float:
    """Read a number above 0."""
    found = number(text)
    if found <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text[:40]}")
    return found


def share(text: str) -> float:
    """Read a share of which something is left: above 0 and at most 1."""
    found = number(text)
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, not {text[:40]}")
    return found


def probability(text: str) -> float:
    """Read a number from 0 to 1."""
    found = number(text)
    if not 0 <= found <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {text[:40]}")
    return found


def below_one(text: str) -> float:
    """Read a number from 0 up to, but not including, 1."""
    found = number(text)
    if not 0 <= found < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text[:40]}")
    return found


def listed(text: str | None) -> list[str]:
    """Read names that stand in a list with commas; none if the flag was not given."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def add_counts(parser: argparse.ArgumentParser, *counts: tuple[str, int, str]) -> None:
    """Add flags that take a positive whole number: name, default and help of each."""
    for flag, default, what in counts:
        parser.add_argument(
            flag,
            type=positive,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number") from error
    if not least <= number <= most:
        bound = f"at least {least}" if number < least else f"at most {most}"
        raise argparse.ArgumentTypeError(f"must be {bound}, not {text[:40]}")
    return number


def check_output(
    out: Path | None,
    *inputs: Path,
    specs: Sequence[JudgeSpec] = (),
    criteria: str | None = None,
) -> None:
    """Refuse an output that is one of the run's inputs, or no ordinary file.

    Args:
        out: The output, if there is one.
        inputs: The files that the command reads.
        specs: The judges, whose options may name files.
        criteria: What --criteria was given.

    Raises:
        OptionError: If it is one of these.
    """
    if out is None:
        return
    require_output(out, "--out", [*inputs, *named_files(specs, criteria)])


def named_files(specs: Sequence[JudgeSpec], criteria: str | None) -> list[Path]:
    """The files that judges' options and --criteria name."""
    named = [value for spec in specs for value in spec.options.values() if isinstance(value, str)]
    within = [file for spec in specs for file in named_files(spec.members, None)]
    return [*_files([*named, *(criteria or "").split(",")]), *within]


def _files(names: Sequence[str]) -> Iterator[Path]:
    """Those of some texts that name a file."""
    for name in names:
        with suppress(OSError, ValueError, RuntimeError):  # too long, or of an unknown user
            path = expanded(name.strip())
            if name.strip() and path.is_file():
                yield path

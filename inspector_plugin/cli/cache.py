"""`inspector cache`: what the judge cache holds, and emptying it."""

from __future__ import annotations

import argparse
from contextlib import closing

from inspector_plugin.cli import flags
from inspector_plugin.errors import count_of
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.rubrics.reply_store import ReplyStore


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("cache")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("info", help="where it is, and how many judgements of which judge it holds")
    clear = actions.add_parser("clear", help="forget all judgements, or those of one judge")
    clear.add_argument("--judge", metavar="CLASS", help="as `inspector cache info` names it")
    clear.add_argument(
        "--replies", action="store_true", help="forget the replies of rubric generators instead"
    )
    parser.set_defaults(run_command=run_cache)


def run_cache(options: argparse.Namespace) -> int:
    """Run one of the actions."""
    if options.action == "clear" and options.replies:
        with closing(ReplyStore()) as store:
            print(f"{count_of(store.clear(), 'reply')} forgotten")
        return 0
    with JudgeCache() as cache:
        if options.action == "clear":
            print(f"{count_of(cache.clear(options.judge), 'judgement')} forgotten")
            return 0
        info = cache.info()
    judgements = count_of(sum(info.judgements.values()), "judgement")
    print(f"{info.path}: {judgements}, {count_of(info.bytes, 'byte')}")
    for judge, count in sorted(info.judgements.items()):
        print(f"{count:8} {judge}")
    with closing(ReplyStore()) as store:
        print(f"{store.path}: {count_of(store.count(), 'reply')} of rubric generators")
    return 0

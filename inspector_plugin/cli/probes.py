"""`inspector probes`: probe packs that were made elsewhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from inspector_plugin.cli import flags
from inspector_plugin.report.tables import make_table, plain, print_tables, share

if TYPE_CHECKING:
    from inspector_plugin.judges.inspector.published_packs import PublishedProbe


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("probes", help="import the probes that INSPECTOR published")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    importer = actions.add_parser(
        "import",
        help="turn published classifiers into probe packs",
        description="Turn the classifiers that INSPECTOR published into probe packs, which "
        "inspector:probes=PACKS,model=MODEL judges with. Their pickles are read without executing "
        "anything; a file that holds anything else is refused.",
    )
    importer.add_argument(
        "folder", metavar="FOLDER", type=Path, help="folder of *.pkl files, or of such folders"
    )
    importer.add_argument(
        "--model",
        required=True,
        help="the language model that they were trained on: hub id, folder, GGUF file or installed "
        "name; packs are bound to its weights where it is on this machine",
    )
    importer.add_argument("--out", required=True, type=Path, metavar="PACKS", help="where to write")
    importer.add_argument(
        "--template",
        type=Path,
        metavar="FILE",
        help="text file with the prompt that they were trained with, {question} and {response} "
        "where these stand; or a folder with a file for each criterion, such as fluency.txt",
    )
    importer.add_argument(
        "--dataset", metavar="NAME", help="data set of files whose folder does not name one"
    )
    importer.add_argument(
        "--skip-refused", action="store_true", help="import the others where a file is refused"
    )
    importer.add_argument("--overwrite", action="store_true", help="replace other packs in PACKS")
    importer.set_defaults(run_command=_import)


def _import(options: argparse.Namespace) -> int:
    from inspector_plugin.judges.inspector.published_packs import read_folder, write_packs

    probes, refused = read_folder(options.folder, options.dataset, options.skip_refused)
    for reason in refused:
        print(plain(f"inspector probes: skipped: {reason}"), file=sys.stderr)
    language_model = write_packs(
        probes, options.model, options.out, options.template, options.overwrite
    )
    print_tables(_table(probes, str(options.out)))
    if language_model["fingerprint"] is None:
        print(
            plain(
                f"inspector probes: the weights of {options.model} are not on this machine: the "
                "packs are bound to its name, hidden size and number of layers alone."
            ),
            file=sys.stderr,
        )
    return 0


def _table(probes: Sequence[PublishedProbe], title: str) -> Table:
    rows = [
        (
            probe.dataset,
            probe.labels,
            probe.criterion.key,
            ", ".join(map(str, probe.layers)),
            probe.pooling + (" + attention" if probe.attention else ""),
            str(probe.classifier.metadata.get("clf_name", "-")),
            _share(probe.classifier.metadata.get("best_score")),
        )
        for probe in probes
    ]
    columns = ("data set", "labels", "criterion", "layers", "pooling", "classifier", "macro F1")
    note = "macro F1: that of their own cross-validation, as their files say"
    return make_table(title, columns, rows, left=6, note=note)


def _share(value: object) -> str:
    return share(float(value)) if isinstance(value, (int, float)) else "-"

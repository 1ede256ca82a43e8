"""`inspector probes`: what a pack says of itself, and packs that were made elsewhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from inspector_plugin.cli import flags
from inspector_plugin.errors import PackError
from inspector_plugin.judges.packs import CARD, judge_of
from inspector_plugin.judges.tuned.plan import JUDGE as TUNED
from inspector_plugin.report.packs import pack_document
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document
from inspector_plugin.report.tables import make_table, plain, print_tables, share
from inspector_plugin.schema.criteria import LABELS

if TYPE_CHECKING:
    from inspector_plugin.judges.inspector.published_packs import PublishedProbe

_MOST_PACKS = 20  # in a message


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("probes")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_show(actions)
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


def _add_show(actions: flags.Commands[flags.Parser]) -> None:
    show = actions.add_parser(
        "show",
        help="show what a pack says of itself",
        description="Print the card of a probe pack, or of the pack of a tuned judge: its figures "
        "beside the baselines, macro F1 by layer, confusion matrices, calibration, the curve of "
        "coverage against agreement, sanity table and flags by kind of response, as far as the "
        "card has them. With --out, draw them.",
    )
    show.add_argument(
        "pack",
        metavar="PACK",
        help="folder of a pack; or probes that ship, by data set and labels: gsm8k, gsm8k/binary, "
        "fast/gsm8k",
    )
    show.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write the drawings there, as PNG and SVG"
    )
    show.add_argument(
        "--format", default="table", choices=OUTPUT_FORMATS, help="how to print (default: table)"
    )
    show.set_defaults(run_command=_show)


def _show(options: argparse.Namespace) -> int:
    folder = _pack_folder(options.pack)
    card = _read_card(folder)
    if card.get("transferred"):
        print(plain(f"inspector probes: {_about_transfer(card)}"), file=sys.stderr)
        folder = folder.parent.parent / str(card["transferred_from"]) / folder.name
        card = _read_card(folder)
    print_document(pack_document(card, str(folder)), {"card": card}, options.format)
    if options.out is not None:
        from inspector_plugin.report.pack_plots import write_pack_plots

        written = write_pack_plots(card, options.out)
        said = ", ".join(file.name for file in written)
        nothing = "the card has no figures to draw"
        print(
            plain(f"inspector probes: {f'{said} written to {options.out}' if said else nothing}"),
            file=sys.stderr,
        )
    return 0


def _pack_folder(name: str) -> Path:
    """Find a pack: a folder, or one that ships by data set and labels."""
    from inspector_plugin.judges.inspector.pack_choice import SHIPPED, packs_root
    from inspector_plugin.judges.inspector.pack_folders import (
        find_pack,
        model_folder,
        packs_below,
    )

    folder = Path(name)
    if (folder / CARD).exists():
        return folder
    if folder.is_dir():
        found = ", ".join(map(str, packs_below(folder)[:_MOST_PACKS]))
        remedy = f"choose one: {found}" if found else "name the folder that holds it"
        raise PackError(f"There is no pack in {name}: {CARD} is missing; {remedy}.")
    first, _, rest = name.partition("/")
    set_name, rest = (first, rest) if first in SHIPPED and rest else (None, name)
    dataset, _, labels = rest.partition("/")
    return find_pack(model_folder(packs_root(set_name), None), dataset, labels or LABELS[0])


def _read_card(folder: Path) -> dict[str, Any]:
    """Read a card in the format of its judge."""
    if judge_of(folder) == TUNED:
        from inspector_plugin.judges.tuned.card_format import read_card as read_tuned_card

        return read_tuned_card(folder)
    from inspector_plugin.judges.inspector.packs import read_card

    return read_card(folder)


def _about_transfer(card: Mapping[str, Any]) -> str:
    note = card.get("note")
    said = f"{card['dataset']} is judged by the probes of {card['transferred_from']}, shown here"
    return f"{said}. {note}" if isinstance(note, str) else f"{said}."


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

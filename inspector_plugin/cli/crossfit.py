"""`inspector crossfit`: fit packs whose models never saw the problem that they judge."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inspector_plugin import __version__
from inspector_plugin.cli import flags
from inspector_plugin.data.files import locked
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256, read_scored
from inspector_plugin.errors import DataError, OptionError, PackError
from inspector_plugin.judges.inspector.plan import require_dataset_name
from inspector_plugin.judges.running import RunningOptions, require_seed
from inspector_plugin.progress import Progress
from inspector_plugin.report.packs import pack_table
from inspector_plugin.report.tables import print_tables
from inspector_plugin.schema.criteria import LABELS, Criterion
from inspector_plugin.schema.criteria_files import parse_criteria
from inspector_plugin.schema.roscoe import ROSCOE

if TYPE_CHECKING:
    from inspector_plugin.judges.inspector.crossfit_training import Fits, PackPlan
    from inspector_plugin.judges.inspector.inputs import Reading
    from inspector_plugin.judges.inspector.training_texts import TrainingText

_SOURCES, _WORKED = 150, 500
_KINDS_OF_FILES = ("scored", "solutions", "answers", "attempts", "worked", "pairs")


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "crossfit",
        help="fit cross-fitted probes, with hurdles and calibration",
        description="Fit the probes of one or several data sets in five folds of problems, so that "
        "a response is judged by models that never saw its problem, together with hurdles against "
        "responses that are no attempt or made wrong, calibration, and the flags off-task and "
        "unlike-training. Features are kept: a run that was interrupted resumes.",
    )
    for name, text in (
        ("scored", "scored rows of a data set, as for inspector train"),
        ("solutions", "rows of question, response, is_correct: teach the criterion correctness"),
        ("answers", "rows of question and answer: scored responses are right if they end in it"),
        ("attempts", "rows of question and response: real responses without scores"),
        ("worked", "rows of question and answer, or problem and solution: right, by people"),
        ("pairs", "rows of question, response (right) and planted (the same with an error)"),
    ):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="NAME=FILE",
            help=text + "; NAME is the data set's, the flag may be repeated",
            required=name == "scored",
        )
    parser.add_argument(
        "--transfer",
        action="append",
        default=[],
        metavar="FROM=TO",
        help="judge the data set TO, of which there are no scores, but --attempts, --worked or "
        "--pairs, by what was learnt of FROM",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the packs")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="language model")
    parser.add_argument("--layer", type=int, help="layer to look at; default: two thirds up")
    parser.add_argument(
        "--likelihoods",
        action="store_true",
        help="look at the likelihood of the response's tokens as well, which takes all layers",
    )
    parser.add_argument(
        "--sources",
        type=flags.positive,
        default=_SOURCES,
        help="from how many responses of each file bad ones are made; default: %(default)s",
    )
    flags.add_criteria_flag(
        parser, "the criteria of the scores: roscoe, some of its keys, or criteria files"
    )
    parser.add_argument(
        "--worked-limit",
        type=flags.positive,
        default=_WORKED,
        metavar="N",
        help="how many solutions to draw of each file of --worked; default: %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all choices; default: 0")
    flags.add_options(parser, RunningOptions)
    parser.add_argument("--overwrite", action="store_true", help="replace packs of another run")
    parser.set_defaults(run_command=_crossfit)


def _crossfit(options: argparse.Namespace) -> int:
    require_seed(options.seed)
    files = {name: _named(getattr(options, name), name) for name in _KINDS_OF_FILES}
    transfers = _named(options.transfer, "transfer")
    for name in transfers.values():
        require_dataset_name(name)
    _require_transfers(transfers, files)
    criteria = ROSCOE if options.criteria is None else parse_criteria(options.criteria)
    scored = {name: read_scored(Path(path), criteria) for name, path in files["scored"].items()}
    texts = _texts(scored, files, options)
    from inspector_plugin.judges.inspector.crossfit_data import training_data
    from inspector_plugin.judges.inspector.crossfit_training import CHAINS, Fits
    from inspector_plugin.judges.inspector.inputs import Reading
    from inspector_plugin.lm.batches import parse_batch_size
    from inspector_plugin.lm.feature_store import FeatureStore
    from inspector_plugin.lm.loading import load_language_model

    plans = _plans(scored, transfers, criteria)
    _require_labels(texts, plans)
    language_model = load_language_model(options.model, options.device, options.dtype)
    reading = Reading(
        2 * language_model.layers // 3 if options.layer is None else options.layer,
        language_model.layers - 1 if options.likelihoods else None,
    )
    data = training_data(
        texts, language_model, reading, FeatureStore(), parse_batch_size(options.batch_size)
    )
    head = {
        "language_model": {
            "name": language_model.name,
            "fingerprint": language_model.fingerprint,
            "layers": language_model.layers,
            "hidden_size": language_model.hidden_size,
            "dtype": language_model.dtype,
        },
        "training": _training(options, scored, reading.layer),
    }
    shared: Fits | None = None
    with Progress(len(plans) * CHAINS, "Fitting", "chain") as progress:
        for plan in plans:
            fits = Fits(data, plan, shared, progress.advance)
            _fit_pack(options, fits, criteria, head, reading)
            shared = fits
    return 0


def _plans(
    scored: Mapping[str, Sequence[ScoredRow]],
    transfers: Mapping[str, str],
    criteria: Sequence[Criterion],
) -> list[PackPlan]:
    """The packs to fit: of each data set, and each that is judged by what was learnt of another."""
    from inspector_plugin.judges.inspector.crossfit_training import PackPlan

    packs = [(name, name) for name in scored] + [(to, name) for name, to in transfers.items()]
    return [
        PackPlan(
            dataset,
            source,
            labels,
            tuple(c.key for c in criteria if any(r.criterion == c for r in scored[source])),
        )
        for dataset, source in packs
        for labels in LABELS
    ]


def _require_labels(texts: Sequence[TrainingText], plans: Sequence[PackPlan]) -> None:
    """Refuse scores that cannot be fitted, before the language model reads all texts.

    Raises:
        DataError: If there are too few.
    """
    from inspector_plugin.judges.inspector.crossfit_data import TrainingData
    from inspector_plugin.judges.inspector.crossfit_training import Fits
    from inspector_plugin.judges.inspector.inputs import Inputs

    unread = TrainingData(tuple(texts), Inputs(np.empty((0, 0)), (), ()))
    shared: Fits | None = None
    for plan in plans:
        shared = Fits(unread, plan, shared)


def _fit_pack(
    options: argparse.Namespace,
    fits: Fits,
    criteria: Sequence[Criterion],
    head: Mapping[str, Any],
    reading: Reading,
) -> None:
    """Fit and write one pack, and print its figures."""
    from inspector_plugin.judges.inspector.crossfit import CrossFitted
    from inspector_plugin.judges.inspector.crossfit_data import layout_of
    from inspector_plugin.judges.inspector.crossfit_figures import criterion_figures, pack_figures
    from inspector_plugin.judges.inspector.crossfit_packs import write_cross_fitted
    from inspector_plugin.judges.inspector.crossfit_training import fit_chains
    from inspector_plugin.judges.inspector.pack_folders import pack_folder
    from inspector_plugin.judges.inspector.packs import read_card
    from inspector_plugin.judges.packs import CARD
    from inspector_plugin.schema.correctness import CORRECTNESS

    plan = fits.plan
    folder = pack_folder(options.out, head["language_model"]["name"], plan.dataset, plan.labels)
    with locked(folder):
        if (folder / CARD).exists() and not options.overwrite:
            raise PackError(f"{folder} holds a pack already; use --overwrite, or another --out.")
        chains = fit_chains(fits)
        known = frozenset(problem for text in fits.data.texts for problem in text.problems)
        models = CrossFitted(reading, chains, known)
        entries = criterion_figures(fits, chains, options.seed)
        by_key = {criterion.key: criterion for criterion in (*criteria, CORRECTNESS)}
        own = {
            **head,
            "dataset": plan.dataset,
            "scored": plan.scored,
            "labels": plan.labels,
            "transferred": False,
            "figures": pack_figures(fits, chains, options.seed),
        }
        written = {by_key[key]: entry for key, entry in entries.items()}
        write_cross_fitted(folder, own, models, layout_of(plan.dataset), written)
    print_tables(pack_table(read_card(folder), str(folder)))


def _named(given: Sequence[str], flag: str) -> dict[str, str]:
    """Read NAME=VALUE flags."""
    found = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise OptionError(f"--{flag} takes NAME=VALUE, not {text!r}.")
        require_dataset_name(name)
        if name in found:
            raise OptionError(f"--{flag} names {name!r} twice.")
        found[name] = value
    return found


def _require_transfers(
    transfers: Mapping[str, str], files: Mapping[str, Mapping[str, str]]
) -> None:
    for source, target in transfers.items():
        if source not in files["scored"]:
            raise OptionError(f"--transfer {source}={target}: there is no --scored {source}=FILE.")
        real = (*files["attempts"], *files["worked"], *files["pairs"])
        if target in files["scored"] or target not in real:
            raise OptionError(
                f"--transfer {source}={target}: give --attempts {target}=FILE, real responses that "
                f"set its thresholds (or --worked, or --pairs), and no scores of {target}."
            )


def _texts(
    scored: Mapping[str, Sequence[ScoredRow]],
    files: Mapping[str, Mapping[str, str]],
    options: argparse.Namespace,
) -> list[TrainingText]:
    """All texts to learn from: the real ones of each file, and those made out of them."""
    from inspector_plugin.judges.inspector.training_texts import (
        ATTEMPTS,
        SOLUTIONS,
        made_texts,
        other_texts,
        pair_texts,
        restyled_texts,
        scored_texts,
        worked_texts,
    )

    seed, sources = options.seed, options.sources
    answers = {name: _answers(Path(path)) for name, path in files["answers"].items()}
    groups = [scored_texts(name, rows, answers.get(name)) for name, rows in scored.items()]
    for origin in (SOLUTIONS, ATTEMPTS):
        for name, path in files[origin].items():
            groups.append(other_texts(name, _rows(Path(path), ("question", "response")), origin))
    for name, path in files["pairs"].items():
        pairs = _rows(Path(path), ("question", "response", "planted"))
        groups.append(pair_texts(name, pairs))
    for name, path in files["worked"].items():
        worked = _rows(Path(path), ("question", "answer"), ("problem", "solution"))
        groups.append(worked_texts(name, worked, options.worked_limit, seed))
    for group in groups:
        if not group:
            raise DataError("A file of responses holds none that can be learnt from.")
    made = [made_texts(group, sources, sources, seed) for group in groups]
    restyled = [restyled_texts(group, sources, seed) for group in groups]
    return [text for group in (*groups, *made, *restyled) for text in group]


def _answers(path: Path) -> dict[str, str]:
    """Right answers by problem; of GSM8K's form, what follows the last ####."""
    return {
        problem_identity(row["question"]): row["answer"].rpartition("####")[2].strip()
        for row in _rows(path, ("question", "answer"))
    }


def _rows(path: Path, *forms: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read rows that hold the texts of one of several forms."""
    found = []
    for number, row in read_rows(path):
        if not any(all(isinstance(row.get(name), str) for name in names) for names in forms):
            wanted = " or ".join(" and ".join(names) for names in forms)
            raise DataError(f"{path}, line {number}: there must be the texts {wanted}.")
        found.append(row)
    return found


def _training(
    options: argparse.Namespace, scored: Mapping[str, Sequence[ScoredRow]], layer: int
) -> dict[str, Any]:
    """What the card says of the training run."""
    names = ("numpy", "scikit-learn", "scipy", "torch", "transformers")
    return {
        "data_sha256": {name: data_sha256(rows) for name, rows in scored.items()},
        "layout": "bare",
        "layer": layer,
        "seed": options.seed,
        "sources": options.sources,
        "versions": {
            "inspector_plugin": __version__,
            **{name: importlib.metadata.version(name) for name in names},
        },
    }

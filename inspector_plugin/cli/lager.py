"""`inspector lager tune`: learn the layer weights of the judge `lager` from scored rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from inspector_plugin.cli import flags
from inspector_plugin.data.files import locked
from inspector_plugin.data.scored_rows import (
    ScoredRow,
    data_sha256,
    problems_of,
    read_scored,
    sample,
)
from inspector_plugin.errors import DataError, OptionError, count_of
from inspector_plugin.judges.lager.options import ANSWER_PREFIX, DEFAULT_MODEL, LagerOptions
from inspector_plugin.judges.lager.plan import TuningPlan
from inspector_plugin.judges.lager.presets import PRESETS
from inspector_plugin.judges.running import RunningOptions
from inspector_plugin.plugins.options import options_of
from inspector_plugin.report.tables import interval, make_table, print_tables
from inspector_plugin.schema.criteria import Criterion, Scale, common_scale
from inspector_plugin.schema.criteria_files import parse_criteria
from inspector_plugin.schema.records import JudgeRequest

if TYPE_CHECKING:
    from inspector_plugin.judges.lager.figures import Labelled
    from inspector_plugin.judges.lager.presets import Aggregation
    from inspector_plugin.judges.lager.prompts import PromptForm
    from inspector_plugin.lm.loading import LanguageModel

Sources = dict[str, list[ScoredRow]]


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("lager")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tune = actions.add_parser(
        "tune",
        help="learn layer weights from scored rows",
        description="Learn how much each layer's score-token logits count, from judgement files or "
        "rows of question, response, criterion, score and id, and measure that on held-out "
        "problems. All criteria must be on one scale. The defaults of epochs, learning rate and "
        "rows per step are the published ones.",
    )
    tune.add_argument(
        "--data", action="append", required=True, type=Path, metavar="FILE", help="may be repeated"
    )
    tune.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where to write")
    flags.add_criteria_flag(
        tune, "the criteria that the data is scored on: roscoe, some of its keys, or criteria files"
    )
    flags.add_scored_by_flag(tune)
    declared = {option.name: option for option in options_of(LagerOptions)}
    for name, default in (
        ("model", DEFAULT_MODEL),
        ("preset", "paper"),
        ("layers", None),
        ("final_norm", None),
        ("combine", None),
        ("chat", None),
        ("answer_prefix", ANSWER_PREFIX),
    ):
        flags.add_option(tune, declared[name], default)
    flags.add_options(tune, TuningPlan)
    tune.add_argument(
        "--rows",
        type=flags.positive,
        metavar="N",
        help="rows to draw from each file",
    )
    tune.add_argument("--folds", type=int, default=5, help="folds of the held-out figures")
    flags.add_options(tune, RunningOptions)
    tune.set_defaults(run_command=_tune)


def _tune(options: argparse.Namespace) -> int:
    plan = TuningPlan(**flags.chosen_options(options, TuningPlan))
    criteria = None if options.criteria is None else parse_criteria(options.criteria)
    sources = _read(options, criteria)
    scale = _scale(sources)
    # Torch takes seconds to import; a mistake in the data shows before that.
    from inspector_plugin.judges.lager.figures import held_out_probabilities
    from inspector_plugin.judges.lager.packs import write_lager_pack
    from inspector_plugin.judges.lager.plots import plot_layers
    from inspector_plugin.judges.lager.presets import altered
    from inspector_plugin.judges.lager.prompts import make_prompt_form
    from inspector_plugin.judges.lager.tuning import tune
    from inspector_plugin.lm.batches import parse_batch_size
    from inspector_plugin.lm.loading import load_language_model

    language_model = load_language_model(options.model, options.device, options.dtype)
    aggregation = altered(
        PRESETS[options.preset],
        layers=options.layers,
        final_norm=options.final_norm,
        combine=options.combine,
    )
    states = aggregation.states(language_model.layers + 1)
    if len(states) < 2:
        raise OptionError("With a single layer there are no weights to tune; choose more layers.")
    form = make_prompt_form(language_model, options.chat, options.answer_prefix, reasoning=False)
    batch_size = parse_batch_size(options.batch_size)
    data = _extract(sources, scale, language_model, form, aggregation, batch_size)
    held_out = held_out_probabilities(data, aggregation, plan, options.folds)
    learnt = tune(data.logits, data.scores, scale, states, aggregation.combine, plan)
    figures = _figures(sources, data, held_out, aggregation, options.seed)
    card = {
        "language_model": _language_model(language_model),
        "prompt": {"chat": form.chat, "fingerprint": form.fingerprint()},
        "scale": list(scale.labels),
        "criteria": {row.criterion.key: row.criterion.fingerprint for row in _all(sources)},
        "training": {
            **vars(plan),
            "folds": options.folds,
            "final_balance": round(learnt.balance, 4),
            "data": {
                name: {"rows": len(rows), "sha256": data_sha256(rows)}
                for name, rows in sources.items()
            },
        },
        "figures": figures,
    }
    curves = {name: part["spearman_by_state"] for name, part in figures.items()}
    with locked(options.out):
        write_lager_pack(options.out, learnt.weights, aggregation, card)
        plot_layers(options.out / "layers.svg", curves, learnt.weights)
    print_tables(*(_table(name, part) for name, part in figures.items()))
    return 0


def _all(sources: Sources) -> list[ScoredRow]:
    return [row for rows in sources.values() for row in rows]


def _read(options: argparse.Namespace, criteria: tuple[Criterion, ...] | None) -> Sources:
    """Read the scored rows of each file, without those that no judge would judge."""
    sources: Sources = {}
    for path in options.data:
        name = path.name.removesuffix(".gz").removesuffix(".jsonl")
        if name in sources:
            raise DataError(f"Two files are called {name!r}; rename one of them.")
        scored = read_scored(path, criteria, options.scored_by)
        rows = [row for row in scored if row.can_be_judged]
        rows = sample(rows, options.rows, options.seed)
        problems = len(set(problems_of(rows)))
        if options.folds < 2 or problems < options.folds:
            raise DataError(
                f"{path} gives {count_of(problems, 'problem')} with scored responses; "
                f"{options.folds} folds need at least two, and as many as there are folds."
            )
        sources[name] = rows
    return sources


def _scale(sources: Sources) -> Scale:
    """The one scale of all scores.

    Raises:
        DataError: If there are several.
    """
    scales = {row.scale for row in _all(sources)}
    scale = common_scale(scales)
    if scale is None:
        names = ", ".join(sorted(each.name for each in scales))
        raise DataError(
            f"The data is scored on the scales {names}; weights are tuned on one scale at a time: "
            "choose criteria of one scale with --criteria."
        )
    return scale


def _extract(
    sources: Sources,
    scale: Scale,
    language_model: LanguageModel,
    form: PromptForm,
    aggregation: Aggregation,
    batch_size: int | None,
) -> Labelled:
    """Read the logits of all rows, one source after the other."""
    import numpy as np

    from inspector_plugin.judges.lager.extraction import extract_logits
    from inspector_plugin.judges.lager.figures import Labelled
    from inspector_plugin.lm.feature_store import FeatureStore

    rows = _all(sources)
    requests = [JudgeRequest(row.question, row.response, (row.criterion,)) for row in rows]
    logits = extract_logits(language_model, form, requests, scale, FeatureStore(), batch_size)
    return Labelled(
        logits[:, int(aggregation.final_norm)],
        np.array([row.score for row in rows]),
        tuple(row.criterion.key for row in rows),
        tuple(
            f"{name}/{problem}" for name, part in sources.items() for problem in problems_of(part)
        ),
        scale,
    )


def _figures(
    sources: Sources, data: Labelled, held_out: Any, aggregation: Aggregation, seed: int
) -> dict[str, Any]:
    """Measure each source by itself."""
    from inspector_plugin.judges.lager.figures import spearman_by_state, tuning_figures

    figures = {}
    start = 0
    for name, rows in sources.items():
        part = range(start, start + len(rows))
        own = data.take(list(part))
        figures[name] = {
            "conditions": tuning_figures(own, held_out[part.start : part.stop], aggregation, seed),
            "spearman_by_state": spearman_by_state(own),
        }
        start = part.stop
    return figures


def _language_model(language_model: LanguageModel) -> dict[str, Any]:
    return {
        "name": language_model.name,
        "fingerprint": language_model.fingerprint,
        "layers": language_model.layers,
        "hidden_size": language_model.hidden_size,
        "dtype": language_model.dtype,
    }


def _table(source: str, figures: dict[str, Any]) -> Table:
    """Build the table of one source."""
    rows = [
        (condition, key, str(compared["n"]), _cell(compared["spearman"]))
        for condition, by_key in figures["conditions"].items()
        for key, compared in by_key.items()
    ]
    return make_table(
        f"Agreement with the stored scores of {source}",
        ("weights", "criterion", "n", "Spearman"),
        rows,
        left=2,
        note="Spearman: rank correlation [95% interval]; weights tuned: on held-out problems",
    )


def _cell(estimate: dict[str, float | None] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "not defined"
    return interval(estimate["value"], estimate["low"], estimate["high"])

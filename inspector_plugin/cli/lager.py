"""`inspector lager tune`: learn the layer weights of the judge `lager` from scored rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from inspector_plugin.cli import flags
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.lager.options import ANSWER_PREFIX, DEFAULT_MODEL
from inspector_plugin.lager.presets import COMBINE, PRESETS
from inspector_plugin.report.table import make_table, print_tables
from inspector_plugin.schema import MULTICLASS, JudgeRequest
from inspector_plugin.scored import ScoredRow, data_sha256, problems_of, read_scored, sample

if TYPE_CHECKING:
    from inspector_plugin.lager.figures import Labelled
    from inspector_plugin.lager.presets import Aggregation
    from inspector_plugin.lager.prompts import PromptForm
    from inspector_plugin.lm.loading import LanguageModel

Sources = dict[str, list[ScoredRow]]


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("lager", help="tune the layer weights of the judge lager")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tune = actions.add_parser(
        "tune",
        help="learn layer weights from scored rows",
        description="Learn how much each layer's score-token logits count, from JSONL files of "
        "question, response, aspect, score (1-5) and id, and measure that on held-out problems. "
        "The defaults of epochs, learning rate and rows per step are the published ones.",
    )
    tune.add_argument(
        "--data", action="append", required=True, type=Path, metavar="FILE", help="may be repeated"
    )
    tune.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where to write")
    tune.add_argument("--model", default=DEFAULT_MODEL, help="language model")
    tune.add_argument("--preset", choices=tuple(PRESETS), default="paper")
    tune.add_argument("--layers", help="all, drop-last or A-B; default: the preset's")
    tune.add_argument("--final-norm", action=argparse.BooleanOptionalAction)
    tune.add_argument("--combine", choices=COMBINE)
    tune.add_argument("--chat", action=argparse.BooleanOptionalAction, help="use the chat template")
    tune.add_argument("--answer-prefix", default=ANSWER_PREFIX)
    tune.add_argument("--epochs", type=int, default=1)
    tune.add_argument("--learning-rate", type=float, default=0.01)
    tune.add_argument("--rows-per-step", type=int, default=4, metavar="N")
    tune.add_argument(
        "--rows",
        type=flags.positive,
        metavar="N",
        help="rows to draw from each file",
    )
    tune.add_argument("--folds", type=int, default=5, help="folds of the held-out figures")
    tune.add_argument("--device")
    tune.add_argument("--dtype", choices=("float32", "bfloat16"))
    flags.add_batch_flag(tune)
    flags.add_seed_flag(tune)
    tune.set_defaults(run_command=_tune)


def _tune(options: argparse.Namespace) -> int:
    sources = _read(options)
    # Torch takes seconds to import; a mistake in the data shows before that.
    from inspector_plugin.lager.figures import held_out_probabilities
    from inspector_plugin.lager.packs import write_lager_pack
    from inspector_plugin.lager.plots import plot_layers
    from inspector_plugin.lager.presets import altered
    from inspector_plugin.lager.prompts import make_prompt_form
    from inspector_plugin.lager.tuning import TuningPlan, tune
    from inspector_plugin.lm.loading import load_language_model

    plan = TuningPlan(
        options.epochs, options.learning_rate, options.rows_per_step, seed=options.seed
    )
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
    form = make_prompt_form(
        language_model, MULTICLASS.maximum, options.chat, options.answer_prefix, reasoning=False
    )
    data = _extract(sources, language_model, form, aggregation, options.batch_size)
    held_out = held_out_probabilities(data, aggregation, plan, options.folds)
    learnt = tune(data.logits, data.scores, MULTICLASS.labels, states, aggregation.combine, plan)
    figures = _figures(sources, data, held_out, aggregation, options.seed)
    card = {
        "language_model": _language_model(language_model),
        "prompt": {"chat": form.chat, "fingerprint": form.fingerprint()},
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
    write_lager_pack(options.out, learnt.weights, aggregation, card)
    curves = {name: part["spearman_by_state"] for name, part in figures.items()}
    plot_layers(options.out / "layers.svg", curves, learnt.weights)
    print_tables(_table(figures))
    return 0


def _read(options: argparse.Namespace) -> Sources:
    """Read the scored rows of each file, without those that no judge would judge."""
    sources: Sources = {}
    for path in options.data:
        name = path.name.removesuffix(".gz").removesuffix(".jsonl")
        if name in sources:
            raise DataError(f"Two files are called {name!r}; rename one of them.")
        rows = [row for row in read_scored(path) if row.question.strip() and row.response.strip()]
        rows = sample(rows, options.rows, options.seed)
        problems = len(set(problems_of(rows)))
        if options.folds < 2 or problems < options.folds:
            raise DataError(
                f"{path} gives {problems} problems with scored responses; {options.folds} folds "
                "need at least two, and as many as there are folds."
            )
        sources[name] = rows
    return sources


def _extract(
    sources: Sources,
    language_model: LanguageModel,
    form: PromptForm,
    aggregation: Aggregation,
    batch_size: int | None,
) -> Labelled:
    """Read the logits of all rows, one source after the other."""
    import numpy as np

    from inspector_plugin.lager.extraction import extract_logits
    from inspector_plugin.lager.figures import Labelled
    from inspector_plugin.probing.features import FeatureStore

    rows = [(name, row) for name, part in sources.items() for row in part]
    requests = [JudgeRequest(row.question, row.response, (row.aspect,)) for _, row in rows]
    logits = extract_logits(language_model, form, requests, FeatureStore(), batch_size)
    return Labelled(
        logits[:, int(aggregation.final_norm)],
        np.array([row.score for _, row in rows]),
        tuple(row.aspect for _, row in rows),
        tuple(
            f"{name}/{problem}" for name, part in sources.items() for problem in problems_of(part)
        ),
        MULTICLASS,
    )


def _figures(
    sources: Sources, data: Labelled, held_out: Any, aggregation: Aggregation, seed: int
) -> dict[str, Any]:
    """Measure each source by itself."""
    from inspector_plugin.lager.figures import spearman_by_state, tuning_figures

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


def _table(figures: dict[str, Any]) -> Table:
    rows = [
        (source, condition, aspect, str(compared["n"]), _cell(compared["spearman"]))
        for source, part in figures.items()
        for condition, by_aspect in part["conditions"].items()
        for aspect, compared in by_aspect.items()
    ]
    columns = ("data", "weights", "aspect", "n", "spearman")
    title = "Agreement with the stored scores; tuned: held-out problems; 95% interval"
    return make_table(title, columns, rows, left=3)


def _cell(estimate: dict[str, float | None] | None) -> str:
    if estimate is None:
        return "not defined"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"

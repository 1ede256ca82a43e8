"""The figures in a pack's card, as tables and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table as RichTable

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.report.document import Column, Document, Section, Table
from inspector_plugin.report.pack_cards import (
    CHANCE,
    DIFFERENCE,
    PROBE,
    criteria_of,
    has_statistics,
    is_tuned,
    noun_of,
    statistic,
    surface,
)
from inspector_plugin.report.pack_tables import (
    calibration_tables,
    confusion_tables,
    coverage_tables,
    detection_tables,
    layer_tables,
    ranking_tables,
    sanity_tables,
)
from inspector_plugin.report.tables import interval, make_table, share

COLUMNS = ("criterion", "n", "macro F1", "Spearman", "surface", "chance")
_NOTE = (
    "n: rows; macro F1, Spearman: nested cross-validation by problem [95% interval]; surface: "
    "macro F1 of the better of two baselines, counts of length and format, and words; chance: "
    "that of shuffled labels"
)
_NOT_GIVEN, _NOT_DEFINED = "-", "not defined"


def pack_rows(card: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells under `COLUMNS`, a row for each criterion of a card."""
    rows: list[tuple[str, ...]] = []
    for key, entry in criteria_of(card).items():
        missing = _NOT_DEFINED if has_statistics(entry) else _NOT_GIVEN
        better, chance = surface(entry), statistic(entry, CHANCE, "macro_f1")
        rows.append(
            (
                key,
                str(entry.get("rows", _NOT_GIVEN)),
                _interval(statistic(entry, PROBE, "macro_f1"), missing),
                _interval(statistic(entry, PROBE, "spearman"), missing),
                _NOT_GIVEN if better is None else share(better.value),
                _NOT_GIVEN if chance is None else share(chance.value),
            )
        )
    return rows


def pack_table(card: Mapping[str, Any], title: str) -> RichTable:
    """Build the table of a pack: nested cross-validation beside its baselines."""
    return make_table(title, COLUMNS, pack_rows(card), note=_NOTE)


def surface_verdicts(card: Mapping[str, Any]) -> list[str]:
    """Say in words whether each probe or model of a card beats its surface baseline.

    Where the card has the difference with its interval, that decides; else its own interval and
    the baseline's figure do, which is stricter.

    Args:
        card: The card.

    Returns:
        A line for each criterion with such figures, and one before them that counts.
    """
    said = []
    beaten, what = 0, noun_of(card)
    for key, entry in criteria_of(card).items():
        probe, baseline = statistic(entry, PROBE, "macro_f1"), surface(entry)
        if probe is None or baseline is None:
            continue
        difference = statistic(entry, DIFFERENCE, "macro_f1")
        beats, words = _compared(probe, baseline, difference, what)
        beaten += beats
        said.append(f"{key}: {words}")
    if not said:
        return []
    many = f"{what.capitalize()}s that beat their surface baseline for certain"
    return [f"{many}: {beaten} of {len(said)}.", *said]


def _compared(
    probe: Estimate, baseline: Estimate, difference: Estimate | None, what: str
) -> tuple[bool, str]:
    figures = f"macro F1 {_interval(probe)} against {share(baseline.value)}"
    gain = Estimate(probe.value - baseline.value)
    if difference is not None:
        gain = difference
        figures += f", difference {_interval(difference)}"
    elif probe.low is not None and probe.high is not None:
        gain = Estimate(gain.value, probe.low - baseline.value, probe.high - baseline.value)
    if gain.low is not None and gain.low > 0:
        return True, f"the {what} beats its surface baseline ({figures})"
    if gain.high is not None and gain.high < 0:
        return False, f"the {what} is worse than its surface baseline ({figures})"
    if gain.value > 0:
        return False, (
            f"the {what} is ahead of its surface baseline, but not for certain ({figures})"
        )
    return False, (
        f"the {what} does not beat its surface baseline: it may read length and format, not "
        f"quality ({figures})"
    )


def pack_document(card: Mapping[str, Any], title: str) -> Document:
    """Build all that a card says of a pack, as a report; what it does not say is named.

    Args:
        card: The card.
        title: What stands above it.
    """
    parts: dict[str, list[Table]] = {
        "confusion matrices": list(confusion_tables(card)),
        "calibration": [*calibration_tables(card), *coverage_tables(card)],
    }
    if not is_tuned(card):
        layers = {"macro F1 by layer": list(layer_tables(card))}
        suite = [*sanity_tables(card), *detection_tables(card)]
        parts = {**layers, **parts, "sanity table": suite}
    missing = [name for name, tables in parts.items() if not tables]
    lead = [f"{name}: {value}" for name, value in _facts(card)]
    figures = Table(
        title,
        [Column(COLUMNS[0]), *(Column(name, "share") for name in COLUMNS[1:])],
        pack_rows(card),
        _NOTE,
    )
    lead += surface_verdicts(card)
    if missing:
        lead.append(f"This card holds no {', no '.join(missing)}.")
    tables = [figures, *ranking_tables(card)]
    tables += [table for each in parts.values() for table in each]
    return Document(title, _facts(card), [Section("pack", "Card", "\n".join(lead), tables)])


def _facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a card says of how the pack was made."""
    known = {name: card[name] for name in ("dataset", "scored", "labels") if name in card}
    facts = [(name.replace("_", " "), str(value)) for name, value in known.items()]
    return facts + (_tuned_facts(card) if is_tuned(card) else _probe_facts(card))


def _probe_facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = _model_facts("language model", card.get("language_model"))
    chosen = ("layout", "folds", "seed", "highest_layer", "published")
    facts += _training_facts(card, chosen)
    if isinstance(card.get("cross_fitted"), Mapping):
        about = card["cross_fitted"]
        also = " and likelihoods" if about.get("likelihoods") else ""
        looks_at = f"layer {about.get('layer')}{also}"
        facts.append(("cross-fitted", f"{looks_at}, {about.get('folds')} folds"))
    if "selection" in card:
        facts.append(("selection", json.dumps(card["selection"])[:600]))
    return facts


def _tuned_facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [("kind", f"{card.get('kind')}, target {card.get('target')}")]
    facts += _model_facts("base model", card.get("base"))
    facts += _training_facts(card, ("epochs", "batch_size", "learning_rate", "folds", "seed"))
    facts.append(("most tokens", str(card.get("max_tokens"))))
    truncated = card.get("truncated")
    if isinstance(truncated, Mapping):
        said = f"{truncated.get('texts')} of {truncated.get('of')} texts"
        facts.append(("longer, and cut", said))
    models = card.get("models")
    for model in models if isinstance(models, list) else []:
        if isinstance(model, Mapping):
            losses = f"validation losses {model.get('validation_loss')}"
            facts.append(
                (f"model {model.get('name')}", f"best epoch {model.get('epochs')}, {losses}"[:600])
            )
    return facts


def _model_facts(name: str, model: Any) -> list[tuple[str, str]]:
    if not isinstance(model, Mapping):
        return []
    size = f"{model.get('layers')} layers, width {model.get('hidden_size')}"
    fingerprint = model.get("fingerprint")
    weights = str(fingerprint)[:16] if fingerprint else "any of that name"
    return [(name, f"{model.get('name')} ({size})"), ("weights", weights)]


def _training_facts(card: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
    training = card.get("training")
    if not isinstance(training, Mapping):
        return []
    said = [f"{name.replace('_', ' ')} {training[name]}" for name in names if name in training]
    return [("training", ", ".join(said))]


def _interval(estimate: Estimate | None, missing: str = _NOT_GIVEN) -> str:
    return missing if estimate is None else interval(estimate.value, estimate.low, estimate.high)

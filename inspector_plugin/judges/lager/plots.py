"""A plot of what each layer is worth: its own agreement, and the weight it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from inspector_plugin.judges.lager.aggregation import Array


def plot_layers(
    path: Path, agreement: Mapping[str, Sequence[float | None]], weights: Array
) -> None:
    """Write the plot as SVG; the same figures give the same file.

    Args:
        path: The file.
        agreement: By data set, Spearman's correlation of each state's expected score.
        weights: The learnt weight of each state.
    """
    states = range(len(weights))
    figure = Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for name, values in agreement.items():
        shown = [float("nan") if value is None else value for value in values]
        above.plot(states, shown, marker=".", label=name)
    above.axhline(0, color="grey", linewidth=0.5)
    above.set_ylabel("Spearman of the layer's own score")
    above.legend()
    below.bar(states, weights)
    below.axhline(1 / len(weights), color="grey", linewidth=0.5)
    below.set_ylabel("learnt weight")
    below.set_xlabel("hidden state (0: embedding)")
    with matplotlib.rc_context({"svg.hashsalt": "inspector_plugin", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})

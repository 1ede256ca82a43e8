"""`inspector probes show`, and what `inspector train` says of a probe beside its baseline."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from tiny_probes import write_pack

from inspector_plugin.cli.main import main
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.packs import read_card, write_transfer
from inspector_plugin.judges.packs import CARD
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.report.pack_cards import Bin, confusion, macro_f1_by_layer
from inspector_plugin.report.pack_plots import write_pack_plots
from inspector_plugin.report.pack_tables import pooled_bins
from inspector_plugin.report.packs import pack_document, surface_verdicts
from inspector_plugin.report.printing import print_document
from inspector_plugin.schema import ROSCOE


def figures(
    probe: list[float], baseline: float, difference: list[float] | None = None
) -> dict[str, Any]:
    def macro_f1(values: list[float]) -> dict[str, Any]:
        return {"macro_f1": dict(zip(("value", "low", "high"), values, strict=False))}

    found = {
        "nested_cross_validation": {**macro_f1(probe), "spearman": None},
        "surface_counts": macro_f1([baseline]),
        "surface_words": macro_f1([baseline - 0.1]),
        "chance": macro_f1([0.2]),
    }
    return found if difference is None else {**found, "above_surface": macro_f1(difference)}


CARD_ROWS: dict[str, Any] = {
    "format_version": 3,
    "dataset": "gsm8k",
    "labels": "multiclass",
    "language_model": {"name": "m", "fingerprint": None, "layers": 30, "hidden_size": 8},
    "training": {"layout": "bare", "folds": 5, "seed": 0},
    "cross_fitted": {"layer": 20, "folds": 5},
    "selection": {"layers": {"11": 0.41, "20": 0.47}},
    "sanity": {"gibberish": [0.98, 0.95, 1.0], "refusal": [0.6, 0.5, 0.7]},
    "criteria": {
        "fluency": {
            "rows": 67,
            "criterion": {"scale": [1, 2, 3]},
            "figures": figures([0.5, 0.45, 0.55], 0.4),
            "screening": [
                {"layer": 11, "span": "all", "pooling": "mean", "macro_f1": 0.41},
                {"layer": 2, "span": "all", "pooling": "mean", "macro_f1": 0.3},
                {"layer": 11, "span": "all", "pooling": "last", "macro_f1": 0.44},
            ],
            "confusion": [[5, 1, 0], [2, 7, 1], [0, 0, 9]],
            "calibration": {
                "ece": 0.04,
                "ece_bias": 0.03,
                "brier": 0.18,
                "reliability": [[0.55, 0.5, 10], [0.92, 0.9, 30]],
            },
        },
        "factuality": {
            "figures": figures([0.41, 0.35, 0.47], 0.4),
            "calibration": {"ece": 0.05, "reliability": [[0.53, 0.8, 30]]},
        },
    },
}


def shown(card: dict[str, Any]) -> str:
    file = io.StringIO()
    print_document(pack_document(card, "the pack"), {}, file=file)
    assert max(map(len, file.getvalue().splitlines())) <= 80
    return " ".join(file.getvalue().split())


def test_all_that_a_card_can_hold_is_shown() -> None:
    text = shown(CARD_ROWS)
    assert "fluency 67 .50 [.45, .55] not defined .40 .20" in text
    assert "criterion 2 11 " in text
    assert "fluency .30 .44 factuality - -" in text
    assert "label 1 2 3 " in text
    assert "1 5 1 0 2 2 7 1 3 0 0 9" in text
    assert "fluency .04 .03 .18 factuality .05 - -" in text
    # (10 * .55 + 30 * .53) / 40 and (10 * .5 + 30 * .8) / 40
    assert "confidence accuracy n" in text
    assert ".53 .72 40" in text
    assert "gibberish .98 [.95, 1.00] refusal .60 [.50, .70]" in text
    assert 'selection: {"layers": {"11": 0.41, "20": 0.47}}' in text
    assert "cross-fitted: layer 20, 5 folds" in text
    assert "weights: any of that name" in text
    about = {"layer": 20, "folds": 5, "likelihoods": True}
    also = shown({**CARD_ROWS, "cross_fitted": about})
    assert "cross-fitted: layer 20 and likelihoods, 5 folds" in also
    assert "This card holds no" not in text


CROSS_FITTED: dict[str, Any] = {
    **CARD_ROWS,
    "figures": {
        "coverage": [[1.0, 0.25, 0.4], [0.5, 0.4, 0.55]],
        "detection": {
            "real": {"n": 640, "off_task": 0.01, "unlike_training": 0.0},
            "refusal": {"n": 36, "off_task": 1, "unlike_training": 0.1, "off_task_untrained": 0.9},
        },
    },
    "criteria": {
        **CARD_ROWS["criteria"],
        "correctness": {
            "rows": 5916,
            "figures": {
                "auc": {
                    "all": 0.764,
                    "within_author": {"one": 0.79, "two": 0.71},
                    "author_left_out": {"one": 0.75},
                    "author_alone": 0.64,
                }
            },
        },
    },
}


def test_what_only_cross_fitted_packs_measure_is_shown(tmp_path: Path) -> None:
    text = shown(CROSS_FITTED)
    assert "correctness 5916 - - - -" in text
    assert "all .76 - one .79 .75 two .71 - the author's name alone .64 -" in text
    assert "min_confidence coverage accuracy" in text
    assert ".25 1.00 .40 .40 .50 .55" in text
    assert "real 640 .01 - .00 refusal 36 1.00 .90 .10" in text
    no_suite = {name: value for name, value in CROSS_FITTED.items() if name != "sanity"}
    assert "no sanity table" not in shown(no_suite)
    drawn = {file.name for file in write_pack_plots(CROSS_FITTED, tmp_path)}
    assert {"coverage.svg", "coverage.png", "flags.svg", "flags.png"} <= drawn
    assert "refusal" in (tmp_path / "flags.svg").read_text("utf-8")


TUNED_ROWS: dict[str, Any] = {
    **{key: CARD_ROWS[key] for key in ("dataset", "labels", "criteria")},
    "format_version": 1,
    "judge": "tuned",
    "kind": "encoder",
    "target": "ordinal",
    "base": {"name": "minilm", "fingerprint": "abc", "layers": 6, "hidden_size": 384},
    "training": {"epochs": 3, "folds": 5, "seed": 0},
    "max_tokens": 256,
    "truncated": {"texts": 7, "of": 90},
    "models": [{"name": "shared", "epochs": 2, "validation_loss": [1.5, 1.25, 1.3]}],
}


def test_the_card_of_a_tuned_judge_is_shown_without_what_only_probes_have() -> None:
    text = shown(TUNED_ROWS)
    assert "kind: encoder, target ordinal" in text
    assert "base model: minilm (6 layers, width 384) weights: abc" in text
    assert "training: epochs 3, folds 5, seed 0" in text
    assert "most tokens: 256 longer, and cut: 7 of 90 texts" in text
    assert "model shared: best epoch 2, validation losses [1.5, 1.25, 1.3]" in text
    assert "fluency 67 .50 [.45, .55] not defined .40 .20" in text
    assert "Models that beat their surface baseline for certain: 1 of 2." in text
    assert "fluency: the reference's labels (rows) and the model's (columns)" in text
    assert "fluency .04 .03 .18 factuality .05 - -" in text
    assert "probe" not in text
    assert "by layer" not in text
    assert "This card holds no" not in text


def test_what_a_card_does_not_hold_is_named_in_one_line() -> None:
    bare = {**CARD_ROWS, "criteria": {"fluency": {}}}
    del bare["sanity"]
    text = shown(bare)
    assert (
        "This card holds no macro F1 by layer, no confusion matrices, no calibration, no sanity "
        "table." in text
    )
    assert "fluency - - - - -" in text


@pytest.mark.parametrize(
    ("probe", "baseline", "difference", "words"),
    [
        ([0.5, 0.45, 0.55], 0.4, None, "the probe beats its surface baseline (macro F1 .50"),
        ([0.5, 0.39, 0.55], 0.4, None, "is ahead of its surface baseline, but not for certain"),
        ([0.38, 0.3, 0.45], 0.4, None, "does not beat its surface baseline: it may read length"),
        ([0.3, 0.2, 0.39], 0.4, None, "is worse than its surface baseline"),
        # The interval of the difference decides, where there is one: it is the narrower.
        ([0.5, 0.39, 0.55], 0.4, [0.1, 0.02, 0.18], "difference .10 [.02, .18])"),
        ([0.5, 0.45, 0.55], 0.4, [0.1, -0.02, 0.18], "but not for certain"),
        ([0.3, 0.2, 0.45], 0.4, [-0.1, -0.2, -0.02], "is worse than"),
        ([0.5], 0.4, None, "but not for certain"),
    ],
)
def test_the_probe_and_its_surface_baseline_in_words(
    probe: list[float], baseline: float, difference: list[float] | None, words: str
) -> None:
    card = {"criteria": {"fluency": {"figures": figures(probe, baseline, difference)}}}
    count, line = surface_verdicts(card)
    assert words in line
    assert line.startswith("fluency: the probe ")
    beaten = int("the probe beats" in line)
    assert count == f"Probes that beat their surface baseline for certain: {beaten} of 1."
    assert ("the probe beats" in line) == (beaten == 1)


def test_without_figures_nothing_is_said_of_baselines() -> None:
    assert surface_verdicts({"criteria": {"fluency": {}}}) == []
    assert surface_verdicts({"criteria": {"fluency": {"figures": {"chance": 1}}}}) == []


def test_bins_are_pooled_by_confidence() -> None:
    bins = [Bin(0.31, 0.2, 10), Bin(0.39, 0.4, 30), Bin(1.0, 1.0, 5), Bin(0.5, 0.5, 0)]
    low, high = pooled_bins(bins)
    assert (low.confidence, low.accuracy, low.count) == pytest.approx((0.37, 0.35, 40))
    assert high == Bin(1.0, 1.0, 5)


def test_malformed_figures_read_as_none() -> None:
    for matrix in (
        [[1]],
        [[1, 2], [3]],
        [[1, -2], [3, 4]],
        [["a", 1], [1, 1]],
        "x",
        [[True, 1]] * 2,
    ):
        assert confusion({"confusion": matrix}) is None
    screening = [{"layer": "2", "macro_f1": 1}, {"layer": 3}, 7, {"layer": 4, "macro_f1": 0.5}]
    assert macro_f1_by_layer({"screening": screening}) == {4: 0.5}


NAMES = [
    *("figures", "screening", "confusion", "calibration", "reliability", "ece", "layer", "scale"),
    *("macro_f1", "value", "nested_cross_validation", "surface_counts", "rows", "criterion"),
]
HEADS = ["sanity", "selection", "training", "labels", "base", "models", "truncated", "kind"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(HEADS), ANYTHING),
       ANYTHING)  # fmt: skip
def test_no_card_breaks_the_report(head: dict[str, Any], entry: Any) -> None:
    for card in (CARD_ROWS, TUNED_ROWS):
        pack_document({**card, **head, "criteria": {"fluency": entry}}, "any")
    surface_verdicts({"criteria": {"fluency": entry}})


def test_the_drawings_are_the_same_each_time(tmp_path: Path) -> None:
    names = ("layers", "confusion", "reliability", "sanity")
    files = [f"{name}.{form}" for name in names for form in ("svg", "png")]
    for folder in (tmp_path / "one", tmp_path / "two"):
        assert [path.name for path in write_pack_plots(CARD_ROWS, folder)] == files
    for file in files:
        one, two = (tmp_path / folder / file for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        if file.endswith(".png"):
            assert imread(one).std() > 0.01
        else:
            ElementTree.parse(one)
    texts = (tmp_path / "one/confusion.svg").read_text("utf-8")
    assert all(f">{count}<" in texts for count in (5, 7, 9))
    layers = (tmp_path / "one/layers.svg").read_text("utf-8")
    assert all(word in layers for word in ("surface", "chance", "probe, nested", "fluency"))
    assert "gibberish" in (tmp_path / "one/sanity.svg").read_text("utf-8")
    assert write_pack_plots({"criteria": {}}, tmp_path / "none") == []


def test_every_pack_that_ships_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for card in sorted(shipped_folder("probes").rglob(CARD)):
        assert main(["probes", "show", str(card.parent)]) == 0
        printed = capsys.readouterr()
        assert max(map(len, printed.out.splitlines())) <= 80
        assert "fluency" in printed.out
        if json.loads(card.read_text("utf-8")).get("transferred"):
            assert "is judged by the probes of" in printed.err


def test_packs_by_name_and_what_is_no_pack(
    tmp_path: Path, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", "show", "gsm8k/binary", "--format", "json"]) == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert (card["dataset"], card["labels"]) == ("gsm8k", "binary")
    assert main(["probes", "show", "fast/gsm8k/binary", "--format", "json"]) == 0
    fast = json.loads(capsys.readouterr().out)["card"]
    assert (fast["dataset"], fast["labels"]) == ("gsm8k", "binary")
    assert "cross_fitted" in card
    assert "cross_fitted" not in fast
    folder = write_pack(tmp_path, load_language_model(str(tiny_lm), "cpu"), "binary",
                        criteria=ROSCOE[:2])  # fmt: skip
    write_transfer(folder.parents[1] / "mine/binary", "mine", folder)
    assert main(["probes", "show", str(folder.parents[1] / "mine/binary")]) == 0
    printed = capsys.readouterr()
    assert "mine is judged by the probes of gsm8k, shown here" in printed.err
    assert str(folder.name) in printed.out
    assert "This card holds no macro F1 by layer" in " ".join(printed.out.split())
    assert main(["probes", "show", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "the card has no figures to draw" in capsys.readouterr().err
    assert main(["probes", "show", str(tmp_path)]) == 1
    assert f"choose one: {folder}" in capsys.readouterr().err
    deeper = tmp_path / "a/b"
    deeper.mkdir(parents=True)
    (deeper / "c").symlink_to(folder.parents[1])
    (deeper / "everything").symlink_to("/")
    assert main(["probes", "show", str(deeper.parent)]) == 1  # no deeper than packs lie
    error = capsys.readouterr().err
    assert f"There is no pack in {deeper.parent}: card.json is missing; name the folder" in error
    assert main(["probes", "show", "gsm9k"]) == 1
    assert "Did you mean 'gsm8k'" in capsys.readouterr().err
    assert read_card(folder)["dataset"] == "gsm8k"

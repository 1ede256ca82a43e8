"""Packs that were damaged or made to harm: a `PackError` in one line, before anything is judged."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save
from tiny_probes import example_requests, write_pack

from inspector_plugin.data.text import plain
from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.array_checks import check_arrays
from inspector_plugin.judges.inspector.classifiers import classifier_from_arrays, fit_classifier
from inspector_plugin.judges.inspector.packs import write_transfer
from inspector_plugin.judges.inspector.plan import CLASSIFIERS, ClassifierSettings
from inspector_plugin.judges.lager.packs import read_lager_pack, write_lager_pack
from inspector_plugin.judges.lager.presets import Aggregation
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS

FLUENCY = ROSCOE[ROSCOE_KEYS.index("fluency")]
EVIL = "\x1b[31mEVIL\x1b[0m\nINJECTED"
Card = dict[str, Any]
Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def lm(tiny_lm: Path) -> LanguageModel:
    return load_language_model(str(tiny_lm))


@pytest.fixture
def folder(tmp_path: Path, lm: LanguageModel) -> Path:
    return write_pack(tmp_path, lm, "multiclass", criteria=(FLUENCY,))


def card_of(folder: Path) -> Card:
    card: Card = json.loads((folder / "card.json").read_text())
    return card


def rewrite(
    folder: Path,
    change_card: Callable[[Card], object] = lambda card: None,
    change_arrays: Callable[[Arrays], object] = lambda arrays: None,
) -> None:
    """Change a pack and set all hashes right, as whoever means harm would."""
    card, file = card_of(folder), folder / "fluency.safetensors"
    arrays = load_file(file)
    change_card(card)
    change_arrays(arrays)
    entries = card.get("criteria")
    entry = entries.get("fluency") if isinstance(entries, dict) else None
    head = {key: value for key, value in card.items() if key != "criteria"}
    content = {key: value for key, value in (entry or {}).items() if key != "arrays"}
    sealed = json.dumps({"head": head, "entry": content}, sort_keys=True)
    data = save(arrays, metadata={"card_sha256": hashlib.sha256(sealed.encode()).hexdigest()})
    file.write_bytes(data)
    if isinstance(entry, dict) and isinstance(entry.get("arrays"), dict):
        entry["arrays"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


def judge_by(folder: Path, tiny_lm: Path) -> None:
    spec = f"inspector:probes={folder.parents[2]},model={tiny_lm}"
    with create_judge(spec) as judge:
        judge_all(judge, example_requests(3), progress=False)


def require_refused(folder: Path, tiny_lm: Path) -> str:
    with pytest.raises(PackError) as caught:
        judge_by(folder, tiny_lm)
    return plain(str(caught.value))


def set_at(*path: Any, value: Any) -> Callable[[Card], None]:
    def change(card: Card) -> None:
        place: Any = card
        for step in path[:-1]:
            place = place[step]
        if value is DELETE:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


DELETE = "delete this field"
ENTRY = ("criteria", "fluency")
DAMAGES: list[tuple[tuple[Any, ...], Any]] = [
    (("format_version",), True),
    (("format_version",), 1.0),
    (("format_version",), 10**400),
    (("format_version",), "2"),
    (("format_version",), DELETE),
    (("dataset",), DELETE),
    (("dataset",), 5),
    (("dataset",), EVIL),
    (("dataset",), "../../x"),
    (("labels",), "binary"),
    (("labels",), "sextuple"),
    (("labels",), ["multiclass"]),
    (("transferred",), True),
    (("transferred",), "no"),
    (("training",), []),
    (("training", "layout"), DELETE),
    (("language_model",), "tiny"),
    (("language_model", "fingerprint"), DELETE),
    (("language_model", "fingerprint"), 7),
    (("language_model", "fingerprint"), {}),
    (("language_model", "name"), ["x"]),
    (("language_model", "layers"), 3),
    (("language_model", "layers"), 10**400),
    (("language_model", "layers"), -1),
    (("language_model", "hidden_size"), 16),
    (("language_model", "hidden_size"), "32"),
    (("language_model", "hidden_size"), True),
    (("language_model", "attention_heads"), 5),
    (("criteria",), {}),
    (("criteria",), []),
    (("criteria",), None),
    (("criteria", "fluency"), None),
    ((*ENTRY, "members"), []),
    ((*ENTRY, "members"), {}),
    ((*ENTRY, "members"), [{"layer": 1}]),
    ((*ENTRY, "members", 0, "layer"), 4),
    ((*ENTRY, "members", 0, "layer"), 10**30),
    ((*ENTRY, "members", 0, "layer"), "1"),
    ((*ENTRY, "members", 0, "span"), "answer"),
    ((*ENTRY, "members", 0, "pooling"), "median"),
    ((*ENTRY, "members", 0, "more"), 1),
    ((*ENTRY, "classifier"), "svm"),
    ((*ENTRY, "classifier", "kind"), "linear_swm"),
    ((*ENTRY, "classifier", "kind"), ["mlp"]),
    ((*ENTRY, "layout"), "bare"),
    ((*ENTRY, "layout", "parts"), []),
    ((*ENTRY, "layout", "parts"), [{}]),
    ((*ENTRY, "layout", "parts"), [{"text": 5}, {"field": "response"}]),
    ((*ENTRY, "layout", "parts"), [{"field": "answer"}]),
    ((*ENTRY, "layout", "parts"), [{"code": "1 + 1"}]),
    ((*ENTRY, "layout", "suffix"), ["x"]),
    ((*ENTRY, "layout", "suffix"), {"x": 5}),
    ((*ENTRY, "layout", "question_form"), "x"),
    ((*ENTRY, "layout", "question_form"), 7),
    ((*ENTRY, "problem_keys"), {"a": 1}),
    ((*ENTRY, "problem_keys"), [["a"]]),
    ((*ENTRY, "arrays"), "fluency.safetensors"),
    ((*ENTRY, "arrays", "file"), ".."),
    ((*ENTRY, "arrays", "file"), 5),
    ((*ENTRY, "arrays", "file"), "x" * 5000),
    ((*ENTRY, "arrays", "sha256"), None),
    ((*ENTRY, "criterion"), DELETE),
    ((*ENTRY, "criterion"), []),
    ((*ENTRY, "criterion", "scale"), [0, 1]),
    ((*ENTRY, "criterion", "scale"), [1, 2, 10**400]),
    ((*ENTRY, "criterion", "key"), "logicality"),
    ((*ENTRY, "fingerprint"), "0" * 16),
    ((*ENTRY, "fingerprint"), 5),
]


@pytest.mark.parametrize(("path", "value"), DAMAGES, ids=lambda each: str(each)[:50])
def test_a_card_that_was_changed_is_refused(
    folder: Path, tiny_lm: Path, path: tuple[Any, ...], value: Any
) -> None:
    rewrite(folder, set_at(*path, value=value))
    if path[-1] in ("file", "sha256") and isinstance(value, str | None):
        card = card_of(folder)
        set_at(*path, value=value)(card)
        (folder / "card.json").write_text(json.dumps(card))
    message = require_refused(folder, tiny_lm)
    assert message.isprintable()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "5",
        "[]",
        "{",
        '{"format_version": NaN}',
        '{"format_version": 2, "dataset": ' + "[" * 900 + "]" * 900 + "}",
        '{"format_version": 2, "dataset": ' + "[" * 100_000,
        '{"format_version": ' + "9" * 5000 + "}",
        '{"format_version": 2, "a": 1e999}',
        "\ud800",
    ],
    ids=lambda text: text[:35],
)
def test_a_card_that_is_no_card_is_refused(folder: Path, tiny_lm: Path, content: str) -> None:
    (folder / "card.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    require_refused(folder, tiny_lm)


@pytest.mark.parametrize("file", ["card.json", "fluency.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "device", "cut", "garbage"])
def test_what_is_no_file_is_not_waited_for(
    folder: Path, tiny_lm: Path, file: str, kind: str
) -> None:
    path = folder / file
    content = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(content[: len(content) // 2] if kind == "cut" else b"\xff" * 999)
    require_refused(folder, tiny_lm)


ARRAY_DAMAGES: list[Callable[[Arrays], object]] = [
    lambda a: a.update({"0.scale": np.zeros_like(a["0.scale"])}),
    lambda a: a.update({"0.scale": -a["0.scale"]}),
    lambda a: a.update({"0.scale": a["0.scale"][:, None]}),
    lambda a: a.update({"0.mean": a["0.mean"][:3]}),
    lambda a: a.update({"0.mean": a["0.mean"].astype(np.int32)}),
    lambda a: a.update({"0.mean": np.array(1, np.float32)}),
    lambda a: a.update({"0.weights": a["0.weights"][:, :7]}),
    lambda a: a.update({"0.weights": a["0.weights"][:2]}),
    lambda a: a.update({"0.weights": a["0.weights"].T.copy()}),
    lambda a: a.update({"0.weights": a["0.weights"] * np.nan}),
    lambda a: a.update({"0.weights": a["0.weights"] * np.inf}),
    lambda a: a.update({"0.bias": a["0.bias"][:1]}),
    lambda a: a.update({"0.bias": a["0.bias"] > 0}),
    lambda a: a.pop("0.bias"),
    lambda a: a.pop("1.scale"),
    lambda a: a.update({"0.components": np.ones((2, 96), np.float32)}),
    lambda a: a.clear(),
]


@pytest.mark.parametrize("damage", ARRAY_DAMAGES, ids=range(len(ARRAY_DAMAGES)))
def test_arrays_that_do_not_belong_together_are_refused(
    folder: Path, tiny_lm: Path, damage: Callable[[Arrays], object]
) -> None:
    rewrite(folder, change_arrays=damage)
    require_refused(folder, tiny_lm)


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("components", [None, 3])
def test_arrays_of_every_kind_are_checked(kind: str, labels: int, components: int | None) -> None:
    random = np.random.default_rng(0)
    features, indices = random.normal(size=(60, 7)), np.arange(60) % labels
    settings = ClassifierSettings(kind, 0.1, components)
    arrays = dict(fit_classifier(settings, features, indices, 0).arrays)
    check_arrays(kind, arrays, labels)
    for name, array in arrays.items():
        for damaged in (array[:-1], array[None], array.astype(np.complex64)):
            with pytest.raises(PackError):
                check_arrays(kind, {**arrays, name: damaged}, labels)
    with pytest.raises(PackError):
        check_arrays(kind, arrays, labels + 1)
    if kind == "random_forest":
        for name in ("right", "feature"):
            beyond = np.where(arrays["left"] > 0, 10**6, arrays[name]).astype(np.int32)
            with pytest.raises(PackError, match=name):
                check_arrays(kind, {**arrays, name: beyond}, labels)
        with pytest.raises(PackError, match="no shares"):
            check_arrays(kind, {**arrays, "value": arrays["value"] * 0}, labels)


def test_numbers_that_overflow_while_judging_cost_the_row(folder: Path, tiny_lm: Path) -> None:
    def change(arrays: Arrays) -> None:
        arrays["0.scale"] = np.full(arrays["0.scale"].shape, 1e-300)
        arrays["0.weights"] = np.full(arrays["0.weights"].shape, 1e300)

    rewrite(folder, change_arrays=change)
    judge = create_judge(f"inspector:probes={folder.parents[2]},model={tiny_lm}")
    with judge, np.errstate(all="ignore"):
        judged = judge_all(judge, example_requests(2), progress=False)
    reasons = {each.scores["fluency"].reason for each in judged}
    assert reasons == {"the probe gave probabilities that are not finite"}


def test_text_of_a_card_is_escaped_in_warnings(
    folder: Path, tiny_lm: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspector_plugin.judges.inspector import judge as module

    transferred = folder.parents[1] / "math" / "multiclass"
    write_transfer(transferred, "math", folder)
    with create_judge(f"inspector:probes={folder.parents[2]},model={tiny_lm}") as judge:
        assert isinstance(judge, module.InspectorJudge)
        judge._warn("test", "trained on %s", EVIL)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == f"trained on {plain(EVIL)}"
    assert message.isprintable()


def test_a_transfer_leads_to_no_other_folder(folder: Path, tiny_lm: Path) -> None:
    target = folder.parents[1] / "math" / "multiclass"
    for origin in ("../gsm8k", "/etc", "", 5, None, "math"):
        write_transfer(target, "math", folder)
        card = card_of(target)
        (target / "card.json").write_text(json.dumps({**card, "transferred_from": origin}))
        require_refused(folder, tiny_lm)


def test_classifiers_without_a_known_kind_are_refused() -> None:
    with pytest.raises(PackError, match="classifier"):
        classifier_from_arrays("no such kind", {})


# --- tuned layer weights -------------------------------------------------------------------------

LAGER_DAMAGES: list[tuple[tuple[Any, ...], Any]] = [
    (("format_version",), True),
    (("kind",), "probes"),
    (("language_model",), []),
    (("language_model", "layers"), "2"),
    (("language_model", "layers"), 10**400),
    (("language_model", "fingerprint"), None),
    (("language_model", "name"), DELETE),
    (("aggregation",), None),
    (("aggregation", "layers"), 5),
    (("aggregation", "layers"), "0-99"),
    (("aggregation", "layers"), "0-" + "9" * 30),
    (("aggregation", "final_norm"), 1),
    (("aggregation", "combine"), "product"),
    (("aggregation", "combine"), ["logits"]),
    (("aggregation", "score"), "best"),
    (("aggregation", "more"), 1),
    (("weights_sha256",), 5),
]


def lager_pack(folder: Path) -> Path:
    head = {"language_model": {"name": "tiny", "fingerprint": "f" * 64, "layers": 2}}
    write_lager_pack(folder, np.array([0.2, 0.3, 0.5]), Aggregation(), head)
    return folder


def reseal(folder: Path, card: Card, weights: Any) -> None:
    content = {key: value for key, value in card.items() if key != "weights_sha256"}
    sha256 = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    data = save({"weights": weights}, metadata={"card_sha256": sha256})
    (folder / "weights.safetensors").write_bytes(data)
    card = {**card, "weights_sha256": hashlib.sha256(data).hexdigest()}
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(("path", "value"), LAGER_DAMAGES, ids=lambda each: str(each)[:40])
def test_a_card_of_layer_weights_that_was_changed_is_refused(
    tmp_path: Path, path: tuple[Any, ...], value: Any
) -> None:
    card = card_of(lager_pack(tmp_path))
    set_at(*path, value=value)(card)
    reseal(tmp_path, card, np.array([0.2, 0.3, 0.5]))
    if path == ("weights_sha256",):
        (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(PackError):
        read_lager_pack(tmp_path)


@pytest.mark.parametrize(
    "weights",
    [
        np.array([0.2, np.nan, 0.5]),
        np.array([np.inf, 0, 0]),
        np.array([1.5, -1.0, 0.5]),
        np.array([[0.2, 0.3, 0.5]]),
        np.array(1.0),
        np.array([1, 0, 0]),
        np.array([True, False, False]),
        np.array([], dtype=np.float64),
    ],
    ids=range(8),
)
def test_layer_weights_that_are_none_are_refused(tmp_path: Path, weights: Any) -> None:
    reseal(tmp_path, card_of(lager_pack(tmp_path)), weights)
    with pytest.raises(PackError):
        read_lager_pack(tmp_path)

"""Classifiers that INSPECTOR published: they answer as theirs do, read without unpickling."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_forms import CLASSIFIERS, describe, dump, fit_search, random_rows
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from inspector_plugin.cli.main import main
from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.packs import read_card, read_pack
from inspector_plugin.judges.inspector.published import read_classifier
from inspector_plugin.judges.inspector.published_predictions import coupled
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

PUBLISHED = Path(__file__).resolve().parents[2] / "shared/data/published-probes"
needs_published = pytest.mark.skipif(
    not (PUBLISHED / "answers.json").is_file(),
    reason=f"the published classifiers are not in {PUBLISHED}",
)
TEMPLATE = "Problem: {question}\nResponse: {response}\nRate its {{fluency}} from 1 to 5. Score: "


def quiet(answer: Any, features: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return answer(features)


# --- the real files ------------------------------------------------------------------------------


@needs_published
def test_the_published_classifiers_answer_as_they_should() -> None:
    answers = json.loads((PUBLISHED / "answers.json").read_text(encoding="utf-8"))
    assert len(answers) == 7
    for name, expected in answers.items():
        classifier = read_classifier(PUBLISHED / name)
        assert classifier.metadata == expected["metadata"]
        assert classifier.classes.tolist() == expected["classes"]
        random = np.random.default_rng(0).normal(size=(12, expected["n_features"]))
        features = np.float32(classifier.scaler_mean + classifier.scaler_scale * random)
        assert classifier.predict(features).tolist() == expected["labels"], name
        found = classifier.predict_proba(features)
        np.testing.assert_allclose(found, expected["probabilities"], rtol=0, atol=1e-5)


@needs_published
def test_the_published_classifiers_become_packs(tmp_path: Path, capsys: Any) -> None:
    template = tmp_path / "prompt.txt"
    template.write_text(TEMPLATE, encoding="utf-8")
    command = ["probes", "import", str(PUBLISHED), "--model", "Qwen/Qwen3-1.7B"]
    command += ["--out", str(tmp_path / "packs")]
    assert main(command) == 1
    assert "--template FILE" in capsys.readouterr().err
    assert not (tmp_path / "packs").exists()
    assert main([*command, "--template", str(template)]) == 0
    written = capsys.readouterr()
    assert "14, 25" in written.out
    root = tmp_path / "packs/qwen3-1.7b/gsm8k"
    pack = read_pack(root / "binary")
    assert list(pack.probes) == list(ROSCOE_KEYS)
    assert pack.language_model["hidden_size"] == 2048
    assert pack.language_model["layers"] == 28
    assert set(read_pack(root / "multiclass").probes) == {"logicality", "semantic_consistency"}
    assert main([*command[:4], "Qwen/Qwen3-4B", *command[5:], "--template", str(template)]) == 1
    assert "is for 'Qwen/Qwen3-1.7B'" in capsys.readouterr().err


# --- classifiers of our own in the same form ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (name, labels)
        for name in CLASSIFIERS
        for labels in ((0, 1), (1, 2, 3), (1, 2, 3, 4, 5))
        if name != "lr_liblinear" or len(labels) == 2  # scikit-learn fits no others with it
    ],
)
def test_a_classifier_answers_as_scikit_learn_does(
    name: str, labels: tuple[int, ...], tmp_path: Path
) -> None:
    features, answers = random_rows(labels)
    search = fit_search(name, features, answers)
    more = np.concatenate([features, random_rows(labels, rows=300)[0][80:]])
    found = read_classifier(dump(tmp_path / "a.pkl", search, protocol=4))
    np.testing.assert_array_equal(found.predict(more), search.predict(more))
    expected = quiet(search.predict_proba, more)
    np.testing.assert_allclose(found.predict_proba(more), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.scaler_mean, search.best_estimator_[0].mean_)
    np.testing.assert_allclose(found.scaler_scale, search.best_estimator_[0].scale_)
    assert len(set(found.predict(more))) == len(labels)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_every_protocol_and_order_of_bytes_is_read(protocol: int, tmp_path: Path) -> None:
    features, answers = random_rows((1, 2, 3))
    search = fit_search("linear_svm", features, answers)
    expected, scaler = search.predict(features), search.best_estimator_[0]
    scaler.mean_ = scaler.mean_.astype(">f8")
    search.best_estimator_[1].support_vectors_ = np.asfortranarray(
        search.best_estimator_[1].support_vectors_
    )
    found = read_classifier(dump(tmp_path / "a.pkl", search, protocol=protocol))
    np.testing.assert_array_equal(found.predict(features), expected)
    np.testing.assert_array_equal(found.scaler_mean, scaler.mean_)
    assert found.metadata["best_score"] == 0.75
    assert found.metadata["layers"] == [1]


def test_a_pipeline_alone_and_a_scaler_that_does_nothing(tmp_path: Path) -> None:
    features, answers = random_rows((0, 1))
    search = fit_search("lr", features, answers)
    pipeline = search.best_estimator_
    found = read_classifier(dump(tmp_path / "a.pkl", pipeline))
    np.testing.assert_array_equal(found.predict(features), pipeline.predict(features))
    pipeline.set_params(scaler__with_mean=False, scaler__with_std=False)
    pipeline.fit(features, answers)
    found = read_classifier(dump(tmp_path / "a.pkl", pipeline))
    np.testing.assert_array_equal(found.predict(features), pipeline.predict(features))


def test_how_older_versions_chose_between_softmax_and_one_vs_rest(tmp_path: Path) -> None:
    """Version 1.6 has `multi_class`; the expected values are its formulas, by hand."""
    features, answers = random_rows((1, 2, 3))
    search = fit_search("lr", features, answers)
    model = search.best_estimator_[1]
    scaled = (features - search.best_estimator_[0].mean_) / search.best_estimator_[0].scale_
    decisions = scaled @ model.coef_.T + model.intercept_
    sigmoid = 1 / (1 + np.exp(-decisions))
    model.multi_class = "ovr"
    found = read_classifier(dump(tmp_path / "a.pkl", search)).predict_proba(features)
    expected = sigmoid / sigmoid.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    model.multi_class = "deprecated"
    found = read_classifier(dump(tmp_path / "a.pkl", search)).predict_proba(features)
    expected = np.exp(decisions) / np.exp(decisions).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_coupling_stops_where_libsvm_does() -> None:
    """A pair within .0025 of one half is left there; any other pair is solved, by hand."""
    near, far = np.array([[0, 0.502], [0.498, 0]]), np.array([[0, 0.7], [0.3, 0]])
    np.testing.assert_allclose(coupled(np.stack([near, far])), [[0.5, 0.5], [0.7, 0.3]], atol=1e-3)


def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    features, answers = random_rows((0, 1))
    search = fit_search("lr", features, answers)
    path = tmp_path / "a.pkl"

    def refuse(model: Any, message: str) -> None:
        with pytest.raises(PackError, match=message):
            read_classifier(dump(path, model))

    forest = Pipeline([("s", StandardScaler()), ("c", RandomForestClassifier(2))])
    refuse(forest.fit(features, answers), r"sklearn\.ensemble\._forest\.RandomForestClassifier")
    other = Pipeline([("s", MinMaxScaler()), ("c", search.best_estimator_[1])])
    refuse(other, r"sklearn\.preprocessing\._data\.MinMaxScaler")
    refuse(StandardScaler().fit(features), "neither a fitted GridSearchCV nor a Pipeline")
    refuse(Pipeline([("c", search.best_estimator_[1])]), "steps")
    refuse(Pipeline([("s", StandardScaler()), ("c", search.best_estimator_[1])]), "not fitted")
    search.best_estimator_[0].scale_ = search.best_estimator_[0].scale_[:-1]
    refuse(search, "scale has the shape")
    search.best_estimator_[0].scale_ = np.zeros(12)
    refuse(search, "divided by zero")
    search.best_estimator_[0].scale_ = np.full(12, np.nan)
    refuse(search, "not finite")


def test_an_svc_without_probabilities_has_labels_alone(tmp_path: Path) -> None:
    features, answers = random_rows((0, 1))
    search = fit_search("linear_svm", features, answers)
    pipeline = search.best_estimator_.set_params(clf__probability=False)
    quiet(lambda rows: pipeline.fit(rows, answers), features)
    found = read_classifier(dump(tmp_path / "gsm8k_binary_clfs/a.pkl", pipeline))
    np.testing.assert_array_equal(found.predict(features), pipeline.predict(features))
    with pytest.raises(PackError, match="probability=False"):
        found.predict_proba(features)


# --- end to end on a tiny random Qwen3 ------------------------------------------------------------

# For each criterion the layers, the pooling, whether attention counts, and the classifier.
LOOKS: Mapping[str, tuple[list[int], str, bool, str]] = {
    "semantic_consistency": ([1], "mean", False, "lr"),
    "logicality": ([0, 3], "last", True, "linear_svm"),
    "informativeness": ([2], "concat", True, "rbf_svm"),
    "fluency": ([1, 2], "min", False, "linear_svm"),
    "factuality": ([3], "max", True, "lr"),
}


@pytest.fixture(scope="module")
def tiny_qwen(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random Qwen3 of 4 layers; it has the tokenizer of the tiny Llama."""
    folder = tmp_path_factory.mktemp("models") / "tiny-qwen3"
    AutoTokenizer.from_pretrained(tiny_lm).save_pretrained(folder)
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
    )
    Qwen3ForCausalLM(config).eval().save_pretrained(folder)
    return folder


def requests(count: int) -> list[JudgeRequest]:
    """Problems and responses of very different lengths, some with words that look like fields."""
    return [
        JudgeRequest(
            f"A tram has {n + 2} cars with {2 * n + 5} seats each. How many seats are there?",
            f"{n + 2} * {2 * n + 5} = {(n + 2) * (2 * n + 5) + n % 3}. "
            + "Every car has as many. {question} " * (n % 6),
            dataset="gsm8k",
        )
        for n in range(count)
    ]


class TheirProcedure:
    """The published procedure, one prompt at a time: no padding, no batches."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")

    def features(self, request: JudgeRequest, layers: list[int], pool: str, attention: bool) -> Any:
        before, after = TEMPLATE.split("{question}")
        between, end = after.split("{response}")
        prompt = before + request.question + between + request.response + end
        with torch.no_grad():
            output = self.model(
                **self.tokenizer(prompt, return_tensors="pt"),
                output_hidden_states=True,
                output_attentions=True,
            )
        found = []
        for layer in layers:
            states = output.hidden_states[layer + 1][0]
            pooled = {
                "mean": [states.mean(0)],
                "last": [states[-1]],
                "min": [states.min(0).values],
                "max": [states.max(0).values],
                "concat": [states.min(0).values, states.max(0).values, states.mean(0)],
            }
            found += pooled[pool]
            if attention:
                weights = output.attentions[layer][0]
                found.append(-(weights * torch.log(weights + 1e-12)).sum(-1).mean(-1))
        return torch.cat(found).numpy()


@pytest.fixture(scope="module")
def theirs(tiny_qwen: Path) -> TheirProcedure:
    return TheirProcedure(tiny_qwen)


@pytest.fixture(scope="module")
def published(
    tiny_qwen: Path, theirs: TheirProcedure, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[tuple[str, str], Any]]:
    """A folder as theirs, with classifiers that learnt random labels, and the classifiers."""
    folder, searches = tmp_path_factory.mktemp("published"), {}
    rows = requests(40)
    for criterion, (layers, pool, attention, name) in LOOKS.items():
        features = np.stack([theirs.features(row, layers, pool, attention) for row in rows])
        for kind, labels in (("binary", [0, 1]), ("multi", [1, 2, 3, 4, 5])):
            answers = np.random.default_rng(7).permutation(np.resize(labels, len(rows)))
            search = fit_search(name, features, answers)
            searches[kind, criterion] = search
            metadata = describe(
                llm="tiny-qwen3",
                dimension=criterion,
                classification=kind,
                layers=layers,
                pool=pool,
                use_attn=attention,
            )
            dump(folder / f"gsm8k_{kind}_clfs/{criterion}.pkl", search, metadata)
    return folder, searches


def run_import(folder: Path, model: Path | str, out: Path, template: str = TEMPLATE) -> int:
    file = out.parent / "prompt.txt"
    file.write_bytes(template.encode())
    command = ["probes", "import", str(folder), "--model", str(model), "--out", str(out)]
    return main([*command, "--template", str(file)])


@pytest.mark.parametrize("kind", ["binary", "multi"])
def test_judging_is_the_published_procedure(
    kind: str, published: Any, theirs: TheirProcedure, tiny_qwen: Path, tmp_path: Path
) -> None:
    folder, searches = published
    assert run_import(folder, tiny_qwen, tmp_path / "packs") == 0
    labels = "binary" if kind == "binary" else "multiclass"
    options = InspectorOptions(probes=str(tmp_path / "packs"), model=str(tiny_qwen), labels=labels)
    rows = requests(60)[20:]
    other_than_likeliest = 0
    with InspectorJudge(options) as judge:
        judgements = judge.judge(rows)
        assert next(iter(judge_all(judge, rows[:2]))).scores.keys() == set(ROSCOE_KEYS)
    for criterion, (layers, pool, attention, _) in LOOKS.items():
        features = np.stack([theirs.features(row, layers, pool, attention) for row in rows])
        search = searches[kind, criterion]
        expected = quiet(search.predict_proba, features)
        scores = [judgement.scores[criterion] for judgement in judgements]
        assert [score.label for score in scores] == search.predict(features).tolist(), criterion
        found = np.array([list((score.probabilities or {}).values()) for score in scores])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=criterion)
        values = expected @ search.classes_
        np.testing.assert_allclose([score.score for score in scores], values, rtol=0, atol=1e-3)
        likeliest = search.classes_[expected.argmax(axis=1)]
        other_than_likeliest += int((likeliest != search.predict(features)).sum())
    assert other_than_likeliest > 0  # else nothing tells the two apart


def test_entropies_behind_the_states_of_all_layers_are_told_from_those_between(
    theirs: TheirProcedure, tiny_qwen: Path, tmp_path: Path
) -> None:
    rows = requests(40)
    features = np.stack([theirs.features(row, [1, 2], "last", True) for row in rows])
    behind = np.concatenate(
        [features[:, :32], features[:, 36:68], features[:, 32:36], features[:, 68:]], axis=1
    )
    search = fit_search("lr", behind, np.arange(len(rows)) % 2)
    metadata = describe(llm="tiny-qwen3", layers=[1, 2], pool="last", use_attn=True)
    dump(tmp_path / "gsm8k_binary_clfs/fluency.pkl", search, metadata)
    assert run_import(tmp_path / "gsm8k_binary_clfs", tiny_qwen, tmp_path / "packs") == 0
    (member,) = read_pack(tmp_path / "packs/tiny-qwen3/gsm8k/binary").probes["fluency"].members
    poolings = [feature.pooling for feature in member.representation.features()]
    assert poolings == ["last", "last", "attention_entropy", "attention_entropy"]


def write_one(folder: Path, **changes: Any) -> Path:
    """A classifier of 32 features in a folder as theirs."""
    features, answers = random_rows((0, 1), width=32)
    search = fit_search("lr", features, answers)
    return dump(folder / "f.pkl", search, describe(llm="tiny-qwen3", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimension": "beauty"}, "'beauty' is not one of semantic_consistency"),
        ({"classification": "ordinal"}, "does not say what is needed"),
        ({"pool": "median"}, "pooling 'median'"),
        ({"use_attn": "no"}, "malformed"),
        ({"layers": []}, "malformed"),
        ({"layers": [4]}, "has the layers 0-3"),
        ({"layers": [-1]}, "has the layers 0-3"),
        ({"layers": [0, 1]}, "gives 64"),
        ({"pool": "concat"}, "gives 96"),
        ({"use_attn": True}, "gives 36"),
        ({"classification": "multi"}, r"knows the labels \[0\]"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, tiny_qwen: Path, tmp_path: Path, capsys: Any
) -> None:
    write_one(tmp_path / "math_binary_clfs", **changes)
    assert run_import(tmp_path / "math_binary_clfs", tiny_qwen, tmp_path / "packs") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not (tmp_path / "packs").exists()


def test_a_folder_of_one_data_set_and_one_that_names_none(
    tiny_qwen: Path, tmp_path: Path, capsys: Any
) -> None:
    write_one(tmp_path / "math_binary_clfs")
    assert run_import(tmp_path / "math_binary_clfs", tiny_qwen, tmp_path / "packs") == 0
    card = read_card(tmp_path / "packs/tiny-qwen3/math/binary")
    assert card["transferred"] is False
    write_one(tmp_path / "mine")
    assert run_import(tmp_path / "mine", tiny_qwen, tmp_path / "packs") == 1
    assert "--dataset NAME" in capsys.readouterr().err
    command = ["probes", "import", str(tmp_path / "mine"), "--model", str(tiny_qwen), "--out"]
    command += [str(tmp_path / "packs"), "--template", str(tmp_path / "prompt.txt")]
    assert main([*command, "--dataset", "mine"]) == 0
    assert read_card(tmp_path / "packs/tiny-qwen3/mine/binary")["dataset"] == "mine"


def test_a_refused_file_stops_an_import_unless_told_otherwise(
    tiny_qwen: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "gsm8k_binary_clfs"
    write_one(folder)
    (folder / "z.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert run_import(tmp_path, tiny_qwen, tmp_path / "packs") == 1
    assert "z.pkl" in capsys.readouterr().err
    assert not (tmp_path / "packs").exists()
    command = ["probes", "import", str(folder), "--model", str(tiny_qwen), "--skip-refused"]
    command += ["--out", str(tmp_path / "packs"), "--template", str(tmp_path / "prompt.txt")]
    assert main(command) == 0
    assert "skipped" in capsys.readouterr().err
    assert main([*command[:2], str(tmp_path / "nothing"), *command[3:]]) == 1


@pytest.mark.parametrize("template", ["", "{question}", "{question}{response}{response}", "plain"])
def test_a_template_holds_each_field_once(
    template: str, tiny_qwen: Path, tmp_path: Path, capsys: Any
) -> None:
    write_one(tmp_path / "math_binary_clfs")
    assert run_import(tmp_path, tiny_qwen, tmp_path / "packs", template) == 1
    assert "each once" in capsys.readouterr().err


def test_a_template_is_literal_and_may_differ_by_criterion(
    tiny_qwen: Path, tmp_path: Path, capsys: Any
) -> None:
    write_one(tmp_path / "math_binary_clfs")
    command = ["probes", "import", str(tmp_path), "--model", str(tiny_qwen)]
    command += ["--out", str(tmp_path / "packs"), "--template", str(tmp_path / "prompts")]
    (tmp_path / "prompts").mkdir()
    assert main(command) == 1
    assert "fluency.txt" in capsys.readouterr().err
    text = "{{x}} {question}\r\n{prediction} {0} %s ${question.__class__}\n"
    (tmp_path / "prompts/fluency.txt").write_bytes(text.encode())
    assert main(command) == 0
    layout = read_pack(tmp_path / "packs/tiny-qwen3/math/binary").probes["fluency"].layout
    segments = layout.segments(JudgeRequest("{response}", "{question}"))
    assert "".join(segment.text for segment in segments) == (
        "{{x}} {response}\r\n{question} {0} %s ${question.__class__}\n"
    )


def test_a_pack_is_bound_to_its_language_model(
    tiny_qwen: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_one(tmp_path / "math_binary_clfs")

    def judge(model: Path) -> None:
        options = InspectorOptions(
            probes=str(tmp_path / "packs"), model=str(model), labels="binary", dataset="math"
        )
        InspectorJudge(options).close()

    other = tmp_path / "other" / "tiny-qwen3"
    AutoTokenizer.from_pretrained(tiny_qwen).save_pretrained(other)
    torch.manual_seed(2)
    Qwen3ForCausalLM(Qwen3Config.from_pretrained(tiny_qwen)).save_pretrained(other)
    renamed = tmp_path / "renamed"
    shutil.copytree(tiny_qwen, renamed)

    # By weights, whatever it is called.
    assert run_import(tmp_path / "math_binary_clfs", tiny_qwen, tmp_path / "packs") == 0
    judge(tiny_qwen)
    judge(renamed)
    with pytest.raises(PackError, match="weights"):
        judge(other)

    # By name and sizes, where the weights are not at hand.
    from inspector_plugin.judges.inspector import published_model

    shutil.rmtree(tmp_path / "packs")
    sizes = {"layers": 4, "hidden_size": 32, "attention_heads": 4}
    monkeypatch.setattr(published_model, "_KNOWN", {"lab/tiny-qwen3": sizes})
    assert run_import(tmp_path / "math_binary_clfs", "lab/tiny-qwen3", tmp_path / "packs") == 0
    assert "bound to its name" in capsys.readouterr().err
    judge(other)
    with pytest.raises(PackError, match="under another name"):
        judge(renamed)
    config = json.loads((other / "config.json").read_text())
    larger = tmp_path / "larger" / "tiny-qwen3"
    AutoTokenizer.from_pretrained(tiny_qwen).save_pretrained(larger)
    layers = {"num_hidden_layers": 5, "layer_types": ["full_attention"] * 5}
    Qwen3ForCausalLM(Qwen3Config(**{**config, **layers})).save_pretrained(larger)
    with pytest.raises(PackError, match="5 layers"):
        judge(larger)
    assert run_import(tmp_path / "math_binary_clfs", "lab/other", tmp_path / "new") == 1
    assert "is for 'tiny-qwen3'" in capsys.readouterr().err


def test_another_import_needs_overwrite(tiny_qwen: Path, tmp_path: Path, capsys: Any) -> None:
    write_one(tmp_path / "math_binary_clfs")
    assert run_import(tmp_path / "math_binary_clfs", tiny_qwen, tmp_path / "packs") == 0
    card = tmp_path / "packs/tiny-qwen3/math/binary/card.json"
    content = json.loads(card.read_text())
    content["training"]["layout"] = "bare"
    card.write_text(json.dumps(content))
    assert run_import(tmp_path / "math_binary_clfs", tiny_qwen, tmp_path / "packs") == 1
    assert "--overwrite" in capsys.readouterr().err
    command = ["probes", "import", str(tmp_path / "math_binary_clfs"), "--overwrite"]
    command += ["--model", str(tiny_qwen), "--out", str(tmp_path / "packs")]
    assert main([*command, "--template", str(tmp_path / "prompt.txt")]) == 0
    read_pack(card.parent)

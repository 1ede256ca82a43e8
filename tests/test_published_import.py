"""Importing published classifiers: what is refused, their templates, and their language model."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from published_forms import describe, dump, fit_search, random_rows
from published_runs import run_import, write_qwen
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from inspector_plugin.cli.main import main
from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.packs import read_card, read_pack
from inspector_plugin.schema import JudgeRequest


@pytest.fixture(scope="module")
def tiny_qwen(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen(tmp_path_factory.mktemp("models") / "tiny-qwen3", tiny_lm)


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

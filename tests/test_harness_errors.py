"""What cannot be used is told before anything is generated; what fails later loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import UseJudges
from harness_runs import Parrot, evaluate, manager, scripted, sure

from inspector_plugin.errors import DataError, InspectorError


def test_a_judge_that_gives_up_costs_no_generated_response(
    data: Path, use_judges: UseJudges, caplog: pytest.LogCaptureFixture
) -> None:
    use_judges(inspector=scripted(sure, fail_at_call=1))
    run = evaluate("gsm8k_inspector", Parrot("#### 1"), {"data": str(data)}, limit=2)
    row = run["results"]["gsm8k_inspector"]
    assert row["exact_match,strict-match"] == 0.5
    assert row["coverage,inspector"] == 0
    assert "gave up after 0 of 2" in caplog.text
    (first, *_) = [s for s in run["samples"]["gsm8k_inspector"] if s["filter"] == "inspector"]
    (judged,) = map(json.loads, first["filtered_resps"][0])
    assert "as told" in judged["scores"]["fluency"]["reason"]
    (reason,) = run["configs"]["gsm8k_inspector"]["scores"]["inspector"]["overall"]["unscored"]
    assert "as told" in reason


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"judge": "inspecter"}, "Unknown judge 'inspecter'.*Did you mean 'inspector'"),
        ({"judge": "inspector:colour=red"}, "option 'colour'"),
        ({"judge": "inspector:labels=three"}, "'three'.*binary, multiclass"),
        ({"judge": ["inspector", "inspector"]}, "given twice"),
        ({"judge": 3}, "judge takes a text or a list of texts, not 3"),
        ({"judge_dtype": 16}, "judge_dtype takes a text, not 16"),
        ({"judge_batch_size": 1.5}, "judge_batch_size takes a text, not 1.5"),
        ({"reference": ["inspector:labels=binary", "inspector"]}, "reference takes one judge"),
        ({"labels": "ternary"}, "Unknown labels 'ternary'"),
        ({"criteria": "fluence"}, "Unknown criteria 'fluence'.*fluency"),
        ({"aspects": "fluence"}, "Unknown criteria 'fluence'.*fluency"),
        ({"criteria": "fluent.yaml"}, "no criteria file fluent.yaml"),
        ({"criteria": 5}, "criteria takes a text or a list of texts, not 5"),
        ({"judges": ["inspector"]}, "Metadata key 'judges' .* mean 'judge'"),
        ({"refrence": "inspector"}, "Metadata key 'refrence' .* mean 'reference'"),
        ({"label": "binary"}, "Metadata key 'label' .* mean 'labels'"),
        ({"cache": "no"}, "cache takes true or false, not 'no'"),
        ({"split": "dev"}, "Unknown split 'dev'; choose from: test, train"),
        ({"data": "/not/there"}, "data takes an existing folder, not '/not/there'"),
        ({"seed": "x"}, "seed takes a whole number from 0 up, not 'x'"),
        ({"resamples": 0}, "resamples takes a whole number from 1 up, not 0"),
        ({"judge": "strict-match"}, "the name of a filter"),
    ],
)
def test_what_cannot_be_used_is_told_before_generation(
    data: Path, use_judges: UseJudges, metadata: dict[str, Any], message: str
) -> None:
    use_judges(**{"inspector": scripted(sure), "strict-match": scripted(sure)})
    with pytest.raises(InspectorError, match=message):
        manager(**{"data": str(data), **metadata}).load(["gsm8k_inspector"])


@pytest.mark.parametrize(
    ("task", "file", "text", "message"),
    [
        ("gsm8k_inspector", "gsm8k/test.jsonl", None, "No gsm8k/test.jsonl or"),
        ("gsm8k_inspector", "gsm8k/test.jsonl", "{", "line 1: not a JSON object"),
        ("gsm8k_inspector", "gsm8k/test.jsonl", '{"question": "?"}', "line 1: field 'answer'"),
        ("gsm8k_inspector", "gsm8k/test.jsonl", "", "holds no problem;"),
        ("math_inspector_geometry", "none", None, "holds no problem of 'geometry'"),
        ("gpqa_inspector_diamond", "none", None, "No gpqa/gpqa_diamond.jsonl or"),
    ],
)
def test_data_that_cannot_be_used(
    data: Path, use_judges: UseJudges, task: str, file: str, text: str | None, message: str
) -> None:
    use_judges(inspector=scripted(sure))
    path = data / file
    if text is not None:
        path.write_text(text, encoding="utf-8")
    elif path.exists():
        path.unlink()
    with pytest.raises(DataError, match=message):
        manager(data=str(data)).load([task])


def test_without_the_hub_the_error_says_where_data_may_come_from(
    use_judges: UseJudges, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no\nway")

    monkeypatch.delenv("INSPECTOR_DATA", raising=False)
    monkeypatch.setattr("datasets.load_dataset", unreachable)
    use_judges(inspector=scripted(sure))
    with pytest.raises(DataError, match=r"openai/gsm8k.*\(no way\).*INSPECTOR_DATA"):
        manager().load(["gsm8k_inspector"])

"""The rows of the agreement with a reference in lm_eval's results."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import UseJudges
from harness_runs import Parrot, evaluate, scripted, sure
from lm_eval.utils import make_table


def test_agreement_with_a_reference_by_hand(data: Path, use_judges: UseJudges) -> None:
    ours = dict(zip("abcd", [1, 2, 4, None], strict=True))
    theirs = dict(zip("abcd", [1, 3, 4, 5], strict=True))
    use_judges(
        inspector=scripted(lambda request, aspect: ours[request.response]),
        gold=scripted(lambda request, aspect: theirs[request.response]),
    )
    metadata = {"data": str(data), "reference": "gold", "aspects": ["fluency"], "resamples": 50}
    run = evaluate("gsm8k_inspector", Parrot(*"abcd"), metadata, limit=4)
    row = run["results"]["gsm8k_inspector"]
    assert row["fluency_n,inspector"] == 3
    assert row["fluency_accuracy,inspector"] == pytest.approx(2 / 3)
    assert row["fluency_spearman,inspector"] == pytest.approx(1)
    assert row["overall_macro_f1,inspector"] == pytest.approx((1 + 0 + 0 + 1) / 4)
    low, value, high = (row[f"fluency_accuracy{end},inspector"] for end in ("_low", "", "_high"))
    assert 0 <= low <= value <= high <= 1
    assert 0 < row["fluency_accuracy_stderr,inspector"] < 1
    assert row["fluency,gold"] == 13 / 4  # the reference has its own row, without agreement
    assert "fluency_n,gold" not in row
    assert run["configs"]["gsm8k_inspector"]["metadata"]["inspector"]["reference"] == "gold"
    assert "fluency_spearman_high" in make_table(run)


@pytest.mark.parametrize(
    ("limit", "theirs", "value", "n"),
    [(1, 3, "not enough", 1), (2, None, "not enough", 0), (3, 3, "undefined", 3)],
)
def test_agreement_that_cannot_be_had_is_no_number(
    data: Path, use_judges: UseJudges, limit: int, theirs: int | None, value: str, n: int
) -> None:
    use_judges(inspector=scripted(sure), gold=scripted(lambda request, aspect: theirs))
    metadata = {"data": str(data), "reference": "gold", "aspects": "fluency"}
    run = evaluate("gsm8k_inspector", Parrot("a", "bb", "ccc"), metadata, limit=limit)
    row = run["results"]["gsm8k_inspector"]
    assert row["fluency_n,inspector"] == n
    assert row["fluency_spearman,inspector"] == value
    assert row["fluency_spearman_stderr,inspector"] == "N/A"
    assert value in make_table(run)

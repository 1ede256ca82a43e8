"""Scales and criteria."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from dataclasses import replace
from typing import Any

import pytest

from inspector_plugin.errors import CriteriaError
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    Criterion,
    Scale,
)
from inspector_plugin.schema.criteria import common_scale

SEVEN = Scale((1, 2, 3, 4, 5, 6, 7))
CARE: dict[str, Any] = {
    "key": "care",
    "title": "Care",
    "definition": "The response checks its own steps.",
    "scale": [1, 2, 3, 4, 5, 6, 7],
    "anchors": {1: "nothing is checked", 7: "every step is checked"},
}


# --- scales


@pytest.mark.parametrize(
    ("scale", "score", "label"),
    [
        (MULTICLASS, 2.49, 2),
        (MULTICLASS, 2.5, 3),
        (MULTICLASS, 4.5, 5),
        (MULTICLASS, 0.2, 1),
        (MULTICLASS, 9, 5),
        (SEVEN, 6.5, 7),
        (BINARY, 0.5, 1),
        (BINARY, 0.4999, 0),
        (Scale((-2, -1, 0)), -1.5, -1),
        (Scale((-2, -1, 0)), -0.5, 0),
    ],
)
def test_nearest_label_with_halves_up(scale: Scale, score: float, label: int) -> None:
    assert scale.nearest(score) == label


@pytest.mark.parametrize(
    ("scale", "score", "high"),
    [
        (MULTICLASS, 3.2, True),
        (MULTICLASS, 3.0, False),
        (MULTICLASS, 3, False),
        (MULTICLASS, 2.9999, False),
        (SEVEN, 4.0, False),
        (SEVEN, 4.1, True),
        (Scale((1, 2, 3, 4)), 2.5, False),
        (Scale((1, 2, 3, 4)), 2.6, True),
        (BINARY, 0.5, False),
        (BINARY, 1, True),
    ],
)
def test_high_is_a_score_above_the_midpoint(scale: Scale, score: float, high: bool) -> None:
    assert scale.is_high(score) is high


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((1, 2, 4), r"consecutive and ascend, as in \[1, 2, 3\]; \[1, 2, 4\] are not"),
        ((5, 4, 3, 2, 1), "consecutive and ascend"),
        ((1, 1), "consecutive and ascend"),
        ((1,), "from 2 to 101 labels, not 1"),
        ((), "from 2 to 101 labels, not 0"),
        (tuple(range(102)), "from 2 to 101 labels, not 102"),
        ((1.0, 2.0), "whole numbers"),
        (("1", "2"), "whole numbers"),
        ((False, True), "whole numbers"),
        ((0, True), "whole numbers"),
    ],
)
def test_what_is_no_scale(labels: tuple[int, ...], message: str) -> None:
    with pytest.raises(CriteriaError, match=message):
        Scale(labels)


def test_a_scale_from_a_list_and_what_follows_from_it() -> None:
    scale = Scale([1, 2, 3, 4, 5, 6, 7])  # type: ignore[arg-type]
    assert scale == SEVEN
    assert hash(scale) == hash(SEVEN)
    assert (scale.name, scale.minimum, scale.middle, scale.maximum) == ("1-7", 1, 4, 7)
    assert [score in scale for score in (1, 7.0, 6.5, 0.99, 7.01, "1", None)] == [
        *(True, True, True),
        *(False, False, False, False),
    ]
    assert common_scale([SEVEN, scale]) == SEVEN
    assert common_scale([SEVEN, BINARY]) is common_scale([]) is None


# --- criteria


@pytest.mark.parametrize("key", ["a", "care", "care_2", "c" * 64])
def test_keys(key: str) -> None:
    assert Criterion(key, definition="Something.").key == key


@pytest.mark.parametrize("key", ["", "Care", "2nd", "_care", "a-b", "a b", "é", "c" * 65, "a\n", 7])
def test_malformed_keys(key: Any) -> None:
    with pytest.raises(CriteriaError, match=r"key: .* is not lower-case letters"):
        Criterion(key, definition="Something.")


@pytest.mark.parametrize("key", ["total", "coverage", "overall"])
def test_keys_that_tables_use(key: str) -> None:
    with pytest.raises(CriteriaError, match=f"key: '{key}' is a word that tables use"):
        Criterion(key, definition="Something.")


@pytest.mark.parametrize("definition", ["", " \n"])
def test_a_definition_is_needed(definition: str) -> None:
    with pytest.raises(CriteriaError, match="definition: criterion 'care' needs one"):
        Criterion("care", definition=definition)


@pytest.mark.parametrize("label", [0, 8, 1.5, "1", True])
def test_an_anchor_for_no_label(label: Any) -> None:
    with pytest.raises(CriteriaError, match=f"anchors: {label} is not a label of the scale 1-7"):
        Criterion("care", definition="Something.", scale=SEVEN, anchors={label: "text"})


def test_a_title_is_made_of_the_key() -> None:
    assert Criterion("first_steps", definition="Something.").title == "First steps"
    assert Criterion("first_steps", "Steps", "Something.").title == "Steps"


def test_the_fingerprint_is_that_of_all_that_is_said() -> None:
    care = Criterion.from_json(CARE)
    others = [
        replace(care, key="cares"),
        replace(care, title="Caring"),
        replace(care, definition="The response checks its own steps!"),
        replace(care, scale=Scale(tuple(range(8)))),
        replace(care, anchors={1: "nothing is checked"}),
        replace(care, anchors={1: "nothing is checked", 7: "all steps are checked"}),
        replace(care, anchors={1: "nothing is checked", 6: "every step is checked"}),
        replace(care, anchors={}),
    ]
    assert len({care.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)
    assert care not in others
    backwards = replace(care, anchors=dict(reversed(care.anchors.items())))
    assert list(CARE["anchors"].items()) == list(backwards.anchors.items())
    assert (backwards, backwards.fingerprint) == (care, care.fingerprint)
    assert re.fullmatch("[0-9a-f]{16}", care.fingerprint)


def test_fingerprints_stay_what_they_are() -> None:
    # Packs, caches and files hold them: a change of these makes all of them foreign.
    content = (
        '{"anchors": {"1": "nothing is checked", "7": "every step is checked"}, "definition": '
        '"The response checks its own steps.", "key": "care", "scale": [1, 2, 3, 4, 5, 6, 7], '
        '"title": "Care"}'
    )
    expected = hashlib.sha256(content.encode()).hexdigest()[:16]
    assert Criterion.from_json(CARE).fingerprint == expected


def test_criteria_travel_between_processes_and_into_sets() -> None:
    care = Criterion.from_json(CARE)
    before = pickle.loads(pickle.dumps(care))
    fingerprint = care.fingerprint
    after = pickle.loads(pickle.dumps(care))
    assert before == after == care
    assert before.fingerprint == after.fingerprint == fingerprint
    assert len({care, before, after, replace(care, anchors={})}) == 2
    assert Criterion.from_json(json.loads(json.dumps(care.to_json()))) == care

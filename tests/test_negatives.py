"""Made negatives, the folds that they share with real rows, and problems' identities."""

from __future__ import annotations

import json
import random
from importlib.resources import files

import pytest

from inspector_plugin.data.folds import fold_of
from inspector_plugin.data.problems import problem_identity, problem_key
from inspector_plugin.judges.inspector.arithmetic import check_arithmetic
from inspector_plugin.judges.inspector.negatives import (
    KINDS,
    NONSENSE,
    Negative,
    Solution,
    make_negatives,
)
from inspector_plugin.judges.inspector.planted import miscopied_quantity, wrong_calculation
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

FOLDS = [2, 0, 1, 3, 3]
KEY = "3de56d6227b7"
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Jil")


def solutions() -> list[Solution]:
    made = []
    for n, name in enumerate(NAMES):
        boxes, pens, given = 13 + n, 27 + 3 * n, 33 + n
        total = boxes * pens
        made.append(
            Solution.of(
                f"{name} has {boxes} boxes of {pens} pens and gives {given} pens away. How many "
                "are left?",
                f"1. There are {boxes} * {pens} = {total} pens in the boxes.\n"
                f"2. After that {name} has {total} - {given} = {total - given} pens.\n"
                f"3. Nothing else happens to the pens of {name}.\n"
                f"#### {total - given}",
            )
        )
    return made


def by_kind(kind: str, seed: int = 0) -> list[tuple[Solution, Negative]]:
    sources = {source.question: source for source in solutions()}
    return [(sources[n.question], n) for n in make_negatives(solutions(), seed, [kind])]


def test_every_kind_is_made_of_every_solution() -> None:
    made = make_negatives(solutions())
    assert [(n.question, n.kind) for n in made] == [
        (s.question, kind) for s in solutions() for kind in KINDS
    ]
    for negative in made:
        assert negative.breaks == KINDS[negative.kind]
        assert negative.breaks
        assert set(negative.breaks) <= set(ROSCOE_KEYS)
    assert set(NONSENSE) < set(KINDS)


def test_a_negative_never_equals_its_source() -> None:
    sources = {source.question: source.response for source in solutions()}
    for seed in range(5):
        for negative in make_negatives(solutions(), seed):
            assert negative.response.strip() != sources[negative.question].strip()
    # A response that is its own bare answer, and one that repeats the problem.
    odd = [Solution.of("What is 3 + 4?", "7"), Solution.of("Say this.", "Say this.")]
    for seed in range(20):
        for negative in make_negatives(odd, seed):
            assert negative.response not in {
                s.response for s in odd if s.question == negative.question
            }


def test_the_same_input_gives_the_same_negatives() -> None:
    first = make_negatives(solutions(), 3)
    assert make_negatives(solutions(), 3) == first
    assert make_negatives(solutions(), 4) != first
    # Neither the order of the rows nor the other kinds matter.
    backwards = make_negatives(solutions()[::-1], 3, ["cut", "other_solution"])
    kept = [n for n in first if n.kind in ("cut", "other_solution")]
    assert sorted(backwards, key=str) == sorted(kept, key=str)
    with pytest.raises(ValueError, match="no such kinds of negatives: sarcasm"):
        make_negatives(solutions(), kinds=["sarcasm"])


def test_another_problems_solution_names_both_problems() -> None:
    by_response = {source.response: source for source in solutions()}
    for source, negative in by_kind("other_solution"):
        other = by_response[negative.response]
        assert negative.problems == (source.problem, other.problem)
        assert source.problem != other.problem
    for kind in set(KINDS) - {"other_solution"}:
        assert all(n.problems == (source.problem,) for source, n in by_kind(kind))
    # There is none if all solutions are of one problem.
    alone = [Solution("q", "1 + 1 = 2", "p"), Solution("q", "2", "p")]
    assert make_negatives(alone, kinds=["other_solution"]) == []


def test_another_problems_solution_has_a_similar_length() -> None:
    rows = [Solution(f"q{n}", "x" * 10 * n, f"p{n}") for n in range(1, 101)]
    for negative in make_negatives(rows, kinds=["other_solution"]):
        own = 10 * int(negative.question[1:])
        # The twelve nearest lie within 60 characters, at the ends within 120.
        assert abs(len(negative.response) - own) <= (60 if 60 < own < 950 else 120)


def test_nonsense_is_what_its_name_says() -> None:
    for source, negative in by_kind("problem_repeated"):
        assert source.question in negative.response
    for _, negative in by_kind("word_repeated"):
        assert len(set(negative.response.replace(",", " ").split())) == 1
    for source, negative in by_kind("characters_shuffled"):
        assert sorted(negative.response) == sorted(source.response)
    for source, negative in by_kind("words_shuffled"):
        assert sorted(negative.response.split()) == sorted(source.response.split())
    remarks = [negative.response for _, negative in by_kind("remark")]
    assert len(set(remarks)) > 1
    # A number would be an answer.
    assert all(len(each) < 20 and not any(map(str.isdigit, each)) for each in remarks)


def test_steps_are_cut_shuffled_or_left_out() -> None:
    for source, negative in by_kind("cut"):
        assert source.response.startswith(negative.response)
        assert 0.25 < len(negative.response) / len(source.response) < 0.95
    for source, negative in by_kind("steps_shuffled"):
        lines = [line[3:] for line in negative.response.split("\n")]
        assert sorted(lines) == sorted(line[3:] for line in source.response.split("\n"))
        # The numbers of the items stand in order.
        assert [line[:2] for line in negative.response.split("\n")] == ["1.", "2.", "3.", "##"]
        assert lines[-1] == source.response.split("\n")[-1][3:]
    for source, negative in by_kind("step_missing"):
        assert len(negative.response.split("\n")) == 3
        assert check_arithmetic(negative.response).equations != ()
        assert negative.response.split("\n")[-1] == source.response.split("\n")[-1]


def test_a_wrong_calculation_is_the_only_one() -> None:
    for seed in range(5):
        for source, negative in by_kind("calculation_wrong_carried_on", seed):
            holds = [e.holds for e in check_arithmetic(negative.response).equations]
            assert sorted(holds) == [False, True], negative.response
            if holds[0] is False:
                # What follows is computed from the wrong result, the final answer too.
                first, last = check_arithmetic(negative.response).equations
                assert last.text.startswith(f"{first.right} - ")
                assert negative.response.endswith(f"#### {last.right}")
            assert len(negative.response.split()) == len(source.response.split())
        for source, negative in by_kind("calculation_wrong", seed):
            holds = [e.holds for e in check_arithmetic(negative.response).equations]
            assert sorted(holds) == [False, True]
            assert negative.response.split("\n")[-1] == source.response.split("\n")[-1]


def test_a_wrong_calculation_by_hand() -> None:
    rng = random.Random(0)
    text = "He has 20+30=<<20+30=50>>50 eggs and 50/2=<<50/2=25>>25 boxes."
    for _ in range(20):
        changed = wrong_calculation(text, rng, carry_on=True)
        assert changed is not None
        report = check_arithmetic(changed)
        assert sorted(e.holds for e in report.equations if e.holds is not None) == [False, True]
        # The copy after each annotation is that of the annotation.
        for equation in report.equations:
            assert changed[equation.end :].startswith(f">>{changed[slice(*equation.result)]}")
    assert wrong_calculation("No calculation at all.", rng, carry_on=True) is None
    # A wrong calculation is not changed into another.
    assert wrong_calculation("2 + 2 = 5", rng, carry_on=False) is None


def test_a_miscopied_quantity_leaves_the_arithmetic_right() -> None:
    for source, negative in by_kind("quantity_miscopied"):
        report = check_arithmetic(negative.response)
        assert [e.holds for e in report.equations] == [True, True], negative.response
        assert report.equations != check_arithmetic(source.response).equations
    assert miscopied_quantity("He has 12 cats.", "There are 9.", random.Random(0)) is None


def test_no_text_is_one_of_the_sanity_suite() -> None:
    suite = files("inspector_plugin").joinpath("audits", "sanity.jsonl")
    rows = [json.loads(line) for line in suite.read_text("utf-8").splitlines()]
    held_out = {row["response"].strip() for row in rows}
    assert len(held_out) > 500
    for seed in range(20):
        for negative in make_negatives(
            solutions(), seed, ["refusal", "off_topic", "word_repeated", "remark"]
        ):
            assert negative.response.strip() not in held_out
            assert not any(len(t) > 20 and t in negative.response for t in held_out)


def test_folds_are_those_of_every_release() -> None:
    identities = ["", "a", "b", "0123456789abcdef", problem_identity("What is 3 + 4?")]
    assert [fold_of(identity) for identity in identities] == FOLDS
    counts = [0] * 5
    for n in range(5000):
        counts[fold_of(str(n))] += 1
    # 1000 each, standard deviation 28.
    assert all(880 < count < 1120 for count in counts)
    assert {fold_of(str(n), 3) for n in range(100)} == {0, 1, 2}


def test_a_problem_has_one_identity_in_whatever_form_it_is_written() -> None:
    plain = 'Café "Luna" sells 3 teas at Joe\'s. Cost?\nred\nblue\ngreen\nblack'
    same = [
        plain.upper(),
        plain.replace('"', "“", 1).replace('"', "”").replace("'", "’"),
        plain.replace("é", "e\u0301"),
        plain.replace(" ", "\u00a0 ").replace("\n", "\r\n"),
        plain.replace("3 teas", "3\u200bteas"),
        plain.replace("3 teas", "3teas"),
        plain.replace("3", "３"),
        plain.replace("Cost?", "Cost? Put the final answer in \\boxed{}."),
        plain.replace("\nred\nblue\ngreen\nblack", "\n(A) black\n(B) red\n(C) green\n(D) blue"),
        f"Question: {plain}\nAnswer:",
    ]
    assert {problem_identity(text) for text in same} == {problem_identity(plain)}
    assert problem_identity(plain) != problem_identity(plain.replace("3", "4"))
    assert problem_identity("Find (a) of 2.") != problem_identity("Find of 2.")
    assert problem_identity("What is 3 + 4?") == "a500af5667a5473b"
    assert len(problem_identity("unpaired: \ud83d")) == 16
    # Cards that ship hold keys of the older kind.
    assert problem_key("What is 3 + 4?") == KEY

"""The sanity suite that ships: what it holds, and that its solutions are right or wrong as said."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from inspector_plugin.audits.suite import FOLDER, GROUPS, NONSENSE, RIGHT, Item, read_suite
from inspector_plugin.data.requests import read_requests
from inspector_plugin.errors import DataError
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared/data"
SUITE = read_suite()
ROWS = [json.loads(line) for line in (FOLDER / "sanity.jsonl").read_text("utf-8").splitlines()]
RIGHT_KINDS = [kind.key for kind in SUITE.kinds.values() if kind.group == RIGHT]
CALCULATING = [*RIGHT_KINDS, "other_language", "missing_step", "shuffled_steps", "other_solution"]

TOKEN = re.compile(r"\d+(?:\.\d+)?|\\?[A-Za-z]+|\n|\S")
SAME = {"\\times": "*", "\\cdot": "*", "×": "*", "\\bmod": "mod", "\\gcd": "gcd"}
FUNCTIONS = ("sqrt", "gcd", "C", "\\frac", "\\binom", "\\sqrt")
SIGNS = ("*", "/", "+", "-", "^", "!", "mod")


def of_kinds(*kinds: str) -> list[Item]:
    return [item for item in SUITE.items if item.kind in kinds]


def solutions(problem: str) -> dict[str, Item]:
    return {
        item.kind: item
        for item in SUITE.items
        if item.problem == problem and item.kind in RIGHT_KINDS
    }


class Evaluator:
    """Evaluates an equation's side by recursive descent; the generator works on Python's trees."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.place = 0

    def value(self) -> Fraction | None:
        """The value; None if the tokens are no expression."""
        try:
            result = self.sum()
        except (ValueError, ZeroDivisionError):
            return None
        return result if self.place == len(self.tokens) else None

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1] if self.place <= len(self.tokens) else ""

    def sum(self) -> Fraction:
        result = self.product()
        while self.peek() in ("+", "-"):
            result = result + self.product() if self.take() == "+" else result - self.product()
        return result

    def product(self) -> Fraction:
        result = self.power()
        while self.peek() in ("*", "/", "mod"):
            sign = self.take()
            other = self.power()
            result = {"*": result * other, "/": result / other, "mod": result % other}[sign]
        return result

    def power(self) -> Fraction:
        base = self.atom()
        while self.peek() in ("^", "!"):
            if self.take() == "!":
                base = Fraction(math.factorial(int(base)))
            else:
                base = base ** int(self.atom())
        return base

    def group(self) -> list[Fraction]:
        opening = self.take()
        parts = [self.sum()]
        while self.peek() == ",":
            self.take()
            parts.append(self.sum())
        if opening + self.take() not in ("()", "{}"):
            raise ValueError("brackets")
        return parts

    def atom(self) -> Fraction:
        token = self.peek()
        if token in ("(", "{"):
            return self.group()[0]
        self.take()
        if token == "\\frac":
            return self.group()[0] / self.group()[0]
        if token in ("\\sqrt", "sqrt"):
            (inner,) = self.group()
            return Fraction(math.isqrt(inner.numerator), math.isqrt(inner.denominator))
        if token == "\\binom":
            return Fraction(math.comb(int(self.group()[0]), int(self.group()[0])))
        if token == "C":
            return Fraction(math.comb(*map(int, self.group())))
        if token == "gcd":
            return Fraction(math.gcd(*map(int, self.group())))
        return Fraction(token)


def evaluated(text: str) -> Fraction | None:
    return Evaluator(tokens_of(text)).value()


def tokens_of(text: str) -> list[str]:
    return [SAME.get(token, token) for token in TOKEN.findall(text)]


def is_of_an_expression(token: str) -> bool:
    return token in (*FUNCTIONS, *SIGNS, "(", ")", "{", "}", ",") or token[0].isdigit()


def equations(text: str) -> list[tuple[Fraction, Fraction]]:
    """Find the equations of a text: around "=", the longest expressions that there are."""
    tokens, found = tokens_of(text), []
    for place, token in enumerate(tokens):
        if token != "=":
            continue
        start, end = place, place + 1
        while start > 0 and is_of_an_expression(tokens[start - 1]):
            start -= 1
        while end < len(tokens) and is_of_an_expression(tokens[end]):
            end += 1
        lefts = (tokens[first:place] for first in range(start, place))
        left = next((each for each in lefts if Evaluator(each).value() is not None), [])
        rights = (tokens[place + 1 : last] for last in range(end, place + 1, -1))
        right = next((each for each in rights if Evaluator(each).value() is not None), [])
        # "x = 7" and "f(2) = 7" calculate nothing.
        if right and any(each in (*SIGNS, *FUNCTIONS) for each in left):
            values = Evaluator(left).value(), Evaluator(right).value()
            assert values[0] is not None
            assert values[1] is not None
            found.append((values[0], values[1]))
    return found


def test_the_evaluator() -> None:
    sides = {
        "2 + 3 * 4": 14,
        r"\frac{9 \cdot 4}{2 \times 3}": 6,
        r"(1 + 2)^{3} \bmod 5": 2,
        "C(5, 2) - 4!": -14,
        r"\binom{6}{2}": 15,
        "sqrt(0.04) × 10": 2,
        r"2^2^3": 64,
        "gcd(84, 60) - 10 - 1": 1,
    }
    assert {text: evaluated(text) for text in sides} == sides
    assert evaluated("2 + ") is None
    assert evaluated("(2, 3") is None
    text = r"so $f(2) = 6 \cdot 2 - 7 = 5$, and 3 × 4 = 13 cm (as 2 + 2 = 4)."
    assert equations(text) == [(5, 5), (12, 13), (4, 4)]


def test_counts() -> None:
    assert (SUITE.name, SUITE.version) == ("sanity", 1)
    datasets = Counter(
        next(item.dataset for item in SUITE.items if item.problem == problem)
        for problem in SUITE.problems
    )
    assert datasets == {"gsm8k": 30, "math": 15, "gpqa": 15}
    assert len(RIGHT_KINDS) == 5
    assert len(SUITE.kinds) == 19
    per_problem = Counter((item.problem, item.kind) for item in SUITE.items)
    for problem in SUITE.problems:
        for kind in SUITE.kinds:
            assert per_problem[problem, kind] == (2 if kind == "wrong_calculation" else 1)
    assert len(SUITE.items) == 60 * 20
    nonsense = {kind.key for kind in SUITE.kinds.values() if kind.group == NONSENSE}
    assert nonsense == {
        "other_solution",
        "repeated_problem",
        "repeated_word",
        "gibberish",
        "refusal",
        "off_topic",
    }


def test_each_kind_says_what_must_score_lower() -> None:
    allowed = {*ROSCOE_KEYS, "correctness", "total"}
    for kind in SUITE.kinds.values():
        assert kind.group in GROUPS
        assert kind.description
        assert bool(kind.lower_on) == (kind.group in ("flawed", NONSENSE)), kind.key
        for lower_on in kind.lower_on:
            assert set(lower_on.split("+")) <= allowed
        if kind.group == NONSENSE:
            assert "total" in kind.lower_on
    for row in ROWS:
        assert tuple(row["lower_on"]) == SUITE.kinds[row["kind"]].lower_on


def test_nothing_occurs_twice() -> None:
    assert len({item.id for item in SUITE.items}) == len(SUITE.items)
    assert len({(item.question, item.response) for item in SUITE.items}) == len(SUITE.items)
    questions = {item.problem: item.question for item in SUITE.items}
    assert len(set(questions.values())) == 60
    assert {(item.problem, item.question) for item in SUITE.items} == set(questions.items())
    for item in SUITE.items:
        assert item.response.strip()
        assert not re.search(r"<[a-z_0-9]+>(?!\w*correct|\n)", item.question)
        if item.kind != "instructions":
            assert not re.search(r"<[a-z_][a-z_0-9]*>", item.response), item.id


def test_multiple_choice_has_lettered_options_as_judges_get_them() -> None:
    for item in SUITE.items:
        letters = re.findall(r"^\(([A-D])\) \S", item.question, re.MULTILINE)
        assert letters == (list("ABCD") if item.dataset == "gpqa" else [])
        if item.dataset == "gpqa" and item.kind in RIGHT_KINDS:
            chosen = set(re.findall(r"\(([A-D])\)|boxed\{([A-D])\}", item.response))
            assert len(chosen) == 1, item.id


def numbers(text: str) -> list[Fraction]:
    plain = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
    return [Fraction(each) for each in re.findall(r"\d+/\d+|\d+(?:\.\d+)?", plain)]


def answer(item: Item) -> str | Fraction:
    """What a solution gives as the answer: the option, or the last number."""
    if item.dataset == "gpqa":
        return str(re.findall(r"(?:\(|boxed\{)([A-D])[)}]", item.response)[-1])
    return numbers(item.response)[-1]


@pytest.mark.parametrize("problem", SUITE.problems)
def test_right_solutions_agree_and_calculate_rightly(problem: str) -> None:
    by_kind = solutions(problem)
    answers = {kind: answer(item) for kind, item in by_kind.items()}
    assert len(set(answers.values())) == 1, answers
    (bare,) = (item for item in of_kinds("bare_answer") if item.problem == problem)
    result = answers["terse"]
    assert (
        bare.response.strip("().").endswith(result)
        if isinstance(result, str)
        else (numbers(bare.response) == [result])
    )
    for kind, item in by_kind.items():
        found = equations(item.response)
        assert len(found) >= (3 if kind == "verbose" else 2), item.response
        assert all(left == right for left, right in found), item.response
        if isinstance(result, Fraction):
            assert result == equations(by_kind["terse"].response)[-1][1]


def test_a_planted_calculation_is_the_only_wrong_one() -> None:
    items = of_kinds("wrong_calculation")
    assert len(items) == 120
    for item in items:
        wrong = [pair for pair in equations(item.response) if pair[0] != pair[1]]
        assert len(wrong) == 1, item.response
        row = next(row for row in ROWS if row["id"] == item.id)
        said = re.search(r": (\S+) in place of (\S+)$", row["change"])
        assert said is not None
        assert wrong == [(Fraction(said[2]), Fraction(said[1]))], item.id


def test_a_changed_solution_comes_to_another_answer() -> None:
    for item in of_kinds("wrong_calculation", "miscopied_quantity"):
        assert answer(item) != answer(solutions(item.problem)["terse"]), item.response


def test_a_miscopied_quantity_is_not_in_the_problem_and_calculated_rightly() -> None:
    for item in of_kinds("miscopied_quantity"):
        row = next(row for row in ROWS if row["id"] == item.id)
        said = re.search(r": (\S+) in place of (\S+)$", row["change"])
        assert said is not None
        numbers = re.findall(r"\d+(?:\.\d+)?", item.question.partition("\n(A)")[0])
        assert said[1] not in numbers
        assert said[2] in numbers
        assert re.search(rf"(?<![\d.]){re.escape(said[1])}(?![\d]|\.\d)", item.response), item.id
        assert all(left == right for left, right in equations(item.response)), item.response


def test_other_kinds_keep_right_equations() -> None:
    for item in of_kinds(*CALCULATING):
        assert all(left == right for left, right in equations(item.response)), item.id
    for kind, change in (("missing_step", -1), ("shuffled_steps", 0), ("other_language", 0)):
        for item in of_kinds(kind):
            whole = equations(solutions(item.problem)["terse"].response)
            kept = equations(item.response)
            assert len(kept) == len(whole) + change, item.response
            assert set(kept) <= set(whole)
            assert (kept == whole) == (kind == "other_language")


def test_cut_off_solutions_break_off_within_a_word_before_the_answer() -> None:
    for item in of_kinds("cut_off"):
        whole = equations(solutions(item.problem)["terse"].response)
        assert item.response[-1].isalpha()
        assert len(equations(item.response)) < len(whole), item.response


def test_nonsense_is_nonsense() -> None:
    first_words = {item.question.split("\n")[0]: item.problem for item in SUITE.items}
    for item in of_kinds("repeated_problem"):
        assert item.question in item.response
        assert not equations(item.response.replace(item.question, ""))
    for item in of_kinds("repeated_word"):
        assert len(set(item.response.replace(",", "").split())) == 1
        assert len(item.response.split()) >= 12
    for item in of_kinds("gibberish", "refusal", "off_topic", "instructions"):
        assert not equations(item.response)
        assert item.response not in first_words
    for item in of_kinds("other_solution"):
        row = next(row for row in ROWS if row["id"] == item.id)
        assert row["other_problem"] != item.problem
        ours = solutions(item.problem)["terse"]
        theirs = solutions(row["other_problem"])["terse"]
        assert equations(ours.response)[-1] != equations(theirs.response)[-1]
        assert set(equations(theirs.response)) <= set(equations(item.response))


def test_languages() -> None:
    rows = [row for row in ROWS if row["kind"] == "other_language"]
    assert Counter(row["language"] for row in rows) == {"es": 20, "de": 20, "fr": 20}


def test_the_sources_give_the_file_that_ships() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/sanity/make_sanity.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    head = json.loads((FOLDER / "sanity.json").read_text("utf-8"))
    content = (FOLDER / "sanity.jsonl").read_bytes()
    assert head["sha256"] == hashlib.sha256(content).hexdigest() == SUITE.sha256
    assert (head["problems"], head["responses"]) == (60, 1200)


def test_the_file_is_one_that_score_takes() -> None:
    rows = read_requests(FOLDER / "sanity.jsonl")
    assert len(rows) == len(SUITE.items)
    assert rows[0].request.response == SUITE.items[0].response


def test_a_changed_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot read the suite"):
        read_suite(tmp_path)
    for name in ("sanity.json", "sanity.jsonl"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    assert read_suite(tmp_path).sha256 == SUITE.sha256
    with (tmp_path / "sanity.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(DataError, match="has been changed"):
        read_suite(tmp_path)


def test_the_first_problems_are_of_all_groups() -> None:
    few = SUITE.first(4)
    assert few.problems == ["word-01", "math-01", "word-02", "science-01"]
    assert len(few.items) == 80
    assert SUITE.first(None).items == SUITE.items


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def runs(text: str, length: int = 8) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not here")
def test_no_problem_comes_from_a_data_set() -> None:
    questions = [
        text
        for name, field in (
            ("gsm8k/train.jsonl", "question"),
            ("gsm8k/test.jsonl", "question"),
            ("math/train.jsonl.gz", "problem"),
            ("math/test.jsonl.gz", "problem"),
            ("gpqa/gpqa_main.jsonl.gz", "Question"),
        )
        for text in texts_in(DATA / name, field)
    ]
    assert len(questions) > 16000
    known = {" ".join(words_of(text)) for text in questions}
    known_runs = set().union(*map(runs, questions))
    for problem in SUITE.problems:
        text = next(item.question for item in SUITE.items if item.problem == problem)
        stem = text.partition("\n(A)")[0]
        assert " ".join(words_of(stem)) not in known, problem
        shared = runs(stem) & known_runs
        # Set phrases of eight words occur by themselves, most of a problem does not.
        assert len(shared) <= max(2, len(runs(stem)) / 4), (problem, shared)


def texts_in(path: Path, field: str) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)[field] for line in file]

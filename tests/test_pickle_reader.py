"""Pickles are read without executing anything: hostile, broken and mutated ones are refused."""

from __future__ import annotations

import functools
import json
import os
import pickle
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_forms import dump, fit_search, random_rows

from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector import pickle_records
from inspector_plugin.judges.inspector.pickle_reader import read_pickle
from inspector_plugin.judges.inspector.published import read_classifier

ROOT = Path(__file__).resolve().parents[1]
MUTATIONS = 1000


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make what hostile files call, and unpickling itself, fail the test."""

    def fail(*arguments: object, **keywords: object) -> None:
        raise AssertionError("something in the file was executed")

    for module, name in ((os, "system"), (os, "popen"), (subprocess, "Popen")):
        monkeypatch.setattr(module, name, fail)
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, fail)


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


class Reduced:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


HEAD = b"\x80\x04"
NDARRAY = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray")
EMPTY_ARRAY = NDARRAY + b"K\x00\x85C\x01b\x87R"
FLOATS = named("numpy", "dtype") + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b"NNNtb"
SVC = named("sklearn.svm._classes", "SVC")
# Tuples of two of the tuple before: 2**60 values, if anything were to walk through them.
NESTED = (
    b")"
    + b"\x940\x85\x94".replace(b"0", b"")
    + b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86\x94" for n in range(1, 60))
)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "os.system": (pickle.dumps(Reduced(os.system, "touch ran")), "posix.system|os.system"),
    "eval": (pickle.dumps(Reduced(eval, "1/0")), r"builtins\.eval"),
    "exec in metadata": (
        pickle.dumps({"model": None, "metadata": {"llm": Reduced(exec, "1/0")}}),
        r"builtins\.exec",
    ),
    "nested": (
        pickle.dumps(Reduced(getattr, Reduced(__import__, "os"), "system")),
        r"builtins\.getattr",
    ),
    "partial": (pickle.dumps(Reduced(functools.partial, print, 1)), r"functools\.partial"),
    "named alone": (HEAD + named("os", "system") + b".", r"os\.system"),
    "old opcode": (b"\x80\x03cos\nsystem\n.", r"os\.system"),
    "protocol 0": (b"cos\nsystem\n(S'true'\ntR.", r"os\.system"),
    "by memo": (
        HEAD + text("os") + b"\x94" + text("system") + b"\x94h\x00h\x01\x93.",
        r"os\.system",
    ),
    "memo written again": (
        HEAD + text("numpy") + b"q\x07" + text("posix") + b"q\x07" + text("system") + b"q\x08"
        b"h\x07h\x08\x93.",
        r"posix\.system",
    ),
    "attribute of an allowed class": (
        HEAD + named("sklearn.svm._classes", "SVC.__init__") + b".",
        r"SVC\.__init__",
    ),
    "inside an allowed module": (HEAD + named("numpy", "load") + b".", r"numpy\.load"),
    "line break in a name": (HEAD + named("numpy", "dtype\nos") + b".", r"dtype\\nos"),
    "surrogate in a name": (HEAD + named("numpy", "\udcff") + b".", r"numpy\.\\udcff"),
    "null in a name": (HEAD + named("numpy\0", "dtype") + b".", r"numpy\\x00"),
    "long name": (HEAD + named("o" * 10_000, "s") + b".", r"ooo\.s"),
    "empty name": (HEAD + named("", "") + b".", "holds"),
    "name that is a number": (HEAD + b"K\x01K\x02\x93.", "not text"),
    "name that is bytes": (HEAD + b"C\x02osC\x06system\x93.", "not text"),
    "another estimator": (
        HEAD + named("sklearn.ensemble._forest", "RandomForestClassifier") + b").",
        "RandomForestClassifier",
    ),
    "call of a class": (HEAD + SVC + b")R.", r"a call of sklearn\.svm\._classes\.SVC"),
    "call of a scorer": (
        HEAD + named("sklearn.metrics._classification", "f1_score") + b")R.",
        "a call of .*f1_score",
    ),
    "call of a text": (HEAD + text("eval") + b")R.", "a call of no function"),
    "call with a list": (HEAD + named("numpy", "dtype") + b"]R.", "a call of numpy.dtype"),
    "instance of a function": (HEAD + named("numpy", "dtype") + b")\x81.", "an instance made"),
    "instance with arguments": (HEAD + SVC + b"K\x01\x85\x81.", "an instance made"),
    "state of a class": (HEAD + SVC + b"}b.", "a state for something"),
    "state of a list": (HEAD + b"]}b.", "a state for something"),
    "state of nothing": (HEAD + b"N}b.", "a state for something"),
    "state that is no dict": (HEAD + SVC + b")\x81]b.", "a state for something"),
    "state of an array": (HEAD + EMPTY_ARRAY + b"}b.", "a state for something"),
    "persistent id": (HEAD + text("x") + b"Q.", "BINPERSID"),
    "persistent id, text": (HEAD + b"Px\n.", "PERSID"),
    "extension": (HEAD + b"\x82\x01.", "EXT1"),
    "inst": (HEAD + b"(ios\nsystem\n.", "INST"),
    "obj": (HEAD + b"(" + SVC + b"o.", "OBJ"),
    "new with keywords": (HEAD + SVC + b")}\x92.", "NEWOBJ_EX"),
    "buffer": (HEAD + b"\x97.", "NEXT_BUFFER"),
    "set": (HEAD + b"\x8f.", "EMPTY_SET"),
    "pop": (HEAD + b"N0.", "POP"),
    "append to a dict": (HEAD + b"}Na.", "no list"),
    "items in a list": (HEAD + b"]NNs.", "no dict"),
    "array as key": (HEAD + b"}" + EMPTY_ARRAY + b"Ns.", "keys are not"),
    "nested tuples as key": (HEAD + b"}" + NESTED + b"Ns.", "keys are not|holds"),
    "array of objects that call": (
        HEAD + EMPTY_ARRAY + b"(K\x01K\x01\x85" + named("os", "system") + b"\x89]tb.",
        r"os\.system",
    ),
    "array of another class": (
        HEAD + named("numpy._core.multiarray", "_reconstruct") + SVC + b"K\x00\x85C\x01b\x87R.",
        "another class than numpy.ndarray",
    ),
    "dtype of objects in a scalar": (
        HEAD
        + named("numpy._core.multiarray", "scalar")
        + named("numpy", "dtype")
        + text("O8")
        + b"\x89\x88\x87R"
        + b"]\x86R.",
        "scalar in another form",
    ),
    "dtype with fields": (
        HEAD + named("numpy", "dtype") + text("V8") + b"\x89\x88\x87R.",
        "a dtype that is not",
    ),
    "dtype by a text that numpy would read": (
        HEAD + named("numpy", "dtype") + text("f8,(1000000,1000000)f8") + b"\x89\x88\x87R.",
        "a dtype that is not",
    ),
    "shape of huge numbers": (
        HEAD
        + EMPTY_ARRAY
        + b"(K\x01\x8a\x09"
        + b"\xff" * 8
        + b"\x00\x85"
        + FLOATS
        + b"\x89C\x00tb.",
        "shape is not of whole",
    ),
    "shape of nested tuples": (
        HEAD + NESTED + b"\x94" + EMPTY_ARRAY + b"(K\x01h\x3c" + FLOATS + b"\x89C\x00tb.",
        "array|whole",
    ),
    "huge bytes": (HEAD + b"\x8e" + struct.pack("<Q", 2**62) + b"x.", "not a whole pickle"),
    "huge bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.", "not a whole pickle"),
    "huge text": (HEAD + b"\x8d" + struct.pack("<Q", 2**62) + b"x.", "not a whole pickle"),
    "huge frame": (HEAD + b"\x95" + struct.pack("<Q", 2**63) + b"N.", "not a whole pickle"),
    "huge number": (HEAD + b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.", "LONG4"),
    "number of many digits": (HEAD + b"I" + b"9" * 100_000 + b"\n.", "INT"),
    "memo that was never written": (HEAD + b"h\x05.", "not a whole pickle"),
    "memo far away": (HEAD + b"Nr\xff\xff\xff\x7fj\xff\xff\xff\x7e.", "not a whole pickle"),
    "mark without a beginning": (HEAD + b"t.", "not a whole pickle"),
    "mark left open": (HEAD + b"(N.", "not a whole pickle"),
    "empty stack": (HEAD + b"\x87.", "not a whole pickle"),
    "two values": (HEAD + b"NN.", "not a whole pickle"),
    "no end": (HEAD + b"N", "not a whole pickle"),
    "no head": (b"N.", "neither a fitted GridSearchCV nor a Pipeline"),
    "newer protocol": (b"\x80\x06N.", "not a whole pickle"),
    "a second pickle behind it": (HEAD + b"N." + HEAD + b"N.", "something after its end"),
    "too many opcodes": (HEAD + b"N" * 300_000 + b".", "more than 200000 opcodes"),
    "empty": (b"", "not a whole pickle"),
    "a text": (b"hello world\n", "not a whole pickle"),
    "an archive": (b"PK\x03\x04" + bytes(100), "not a whole pickle"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = HOSTILE[name]
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    modules = set(sys.modules)
    start = time.perf_counter()
    with pytest.raises(PackError, match=message) as caught:
        read_classifier(path)
    assert time.perf_counter() - start < 5
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()
    assert os.listdir(tmp_path) == ["x.pkl"]
    assert set(sys.modules) == modules


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_is_refused_in_every_protocol(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([1, Reduced(eval, "1/0")], protocol=protocol))
    with pytest.raises(PackError):
        read_pickle(path)


def test_structures_that_hold_themselves_or_are_deep_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    for content in (
        HEAD + b"]\x94h\x00a.",  # a list that holds itself
        HEAD + b"}\x94" + text("model") + b"h\x00s.",  # a dict that holds itself
        HEAD + SVC + b")\x81\x94}" + text("kernel") + b"h\x00sb.",
        HEAD + b")" + b"\x85" * 150_000 + b".",
        HEAD + b"]" * 60_000 + b"a" * 59_999 + b".",
        HEAD + NESTED + b".",
        HEAD + b"}" + text("model") + NESTED + b"s" + text("metadata") + b"h\x3cs.",
    ):
        path.write_bytes(content)
        with pytest.raises(PackError):
            read_classifier(path)


def test_nothing_is_constructed_before_the_last_opcode_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, answers = random_rows((0, 1))
    search = fit_search("lr", features, answers)
    path = dump(tmp_path / "x.pkl", search)
    read_classifier(path)
    path.write_bytes(path.read_bytes()[:-1] + named("os", "system") + b".")

    def fail(*arguments: object, **keywords: object) -> None:
        raise AssertionError("an array was made")

    monkeypatch.setattr(pickle_records, "np", type("np", (), {"frombuffer": fail, "array": fail}))
    with pytest.raises(PackError, match=r"os\.system"):
        read_classifier(path)


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    features, answers = random_rows((0, 1), rows=30, width=2)
    content = dump(tmp_path / "x.pkl", fit_search("lr", features, answers)).read_bytes()
    path = tmp_path / "cut.pkl"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(PackError, match="not a whole pickle"):
            read_classifier(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.pkl", tmp_path):
        with pytest.raises(PackError, match="Cannot read"):
            read_classifier(path)


MUTATE = """
import json, random, resource, sys, time, warnings
from pathlib import Path
import numpy as np
from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.published import read_classifier

warnings.simplefilter("ignore")
source, scratch, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
content = source.read_bytes()


def use(path):
    classifier = read_classifier(path)
    features = np.ones((2, classifier.features), dtype=np.float32)
    classifier.predict(features), classifier.predict_proba(features)


use(source)  # whatever is imported late is imported now
try:
    read_classifier(scratch.parent / "nothing")
except PackError:
    pass
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
events, opened, watching = set(), set(), False


def watch(event, arguments):
    if watching:
        events.add(event)
        if event == "open":
            opened.add(str(arguments[0]))


sys.addaudithook(watch)
figures = {"read": 0, "refused": 0, "slowest": 0.0}
for seed in range(count):
    source = random.Random(seed)
    mutated = bytearray(content)
    for _ in range(source.choice((1, 1, 2, 4, 16))):
        place = source.randrange(len(mutated))
        kind = source.randrange(4)
        if kind == 0:
            mutated[place] = source.randrange(256)
        elif kind == 1:
            mutated[place] ^= 1 << source.randrange(8)
        elif kind == 2:
            del mutated[place : place + source.randrange(1, 20)]
        else:
            mutated[place:place] = mutated[source.randrange(len(mutated)) :][: source.randrange(20)]
    scratch.write_bytes(mutated)
    start = time.perf_counter()
    watching = True
    try:
        use(scratch)
        figures["read"] += 1
    except PackError:
        figures["refused"] += 1
    finally:
        watching = False
    figures["slowest"] = max(figures["slowest"], time.perf_counter() - start)
print(json.dumps({**figures, "events": sorted(events), "opened": sorted(opened)}))
"""


@pytest.mark.parametrize("name", ["lr", "rbf_svm"])
def test_mutated_files_are_refused_or_read_and_nothing_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # this test starts a process
    features, answers = random_rows((1, 2, 3), rows=30, width=3)
    source = dump(tmp_path / "x.pkl", fit_search(name, features, answers))
    scratch = tmp_path / "mutated.pkl"
    done = subprocess.run(
        [sys.executable, "-c", MUTATE, str(source), str(scratch), str(MUTATIONS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures["read"] + figures["refused"] == MUTATIONS
    assert figures["refused"] > MUTATIONS / 5
    assert figures["read"] > MUTATIONS / 50
    assert figures["slowest"] < 2
    assert figures["opened"] == [str(scratch)]
    assert set(figures["events"]) <= {"open", "object.__getattr__"}, figures["events"]


def test_numbers_of_objects_are_numbers_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    for values, allowed in (
        ([1, 2.5, True], True),
        (["a"], False),
        ([None], False),
        ([[1], [2, 3]], False),
    ):
        path.write_bytes(pickle.dumps(np.array(values, dtype=object)))
        record = read_pickle(path)
        if allowed:
            assert pickle_records.numbers_in(record, "x").tolist() == [1, 2.5, 1]
        else:
            with pytest.raises(PackError, match="does not hold numbers"):
                pickle_records.numbers_in(record, "x")

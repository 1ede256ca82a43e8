"""lm_eval in several processes: two real ones, joined by torch.distributed on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inspector_plugin.harness.ranks import on_all_ranks

TESTS = Path(__file__).resolve().parent
JOIN = """
import json, sys
import torch, torch.distributed as dist
rank, port = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
)
"""
NAMES = """
from inspector_plugin.harness.ranks import on_all_ranks
print(json.dumps(on_all_ranks(json.loads(sys.argv[3])[rank])))
dist.destroy_process_group()
"""
# Of rank 1's responses (documents 1 and 3 of 5) none has a score for fluency.
EVALUATE = """
sys.path.insert(0, sys.argv[3])
import lm_eval
from harness_runs import Parrot, manager
from inspector_plugin.harness import shared
from inspector_plugin.testing import ScriptedJudge

class Joined(Parrot):
    device = torch.device("cpu")

    def all_gather(self, tensor):
        parts = [torch.zeros_like(tensor) for _ in range(2)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)

    def gather_object(self, obj, dst=0):
        parts = [None, None] if rank == dst else None
        dist.gather_object(obj, parts, dst=dst)
        return parts

    def barrier(self):
        dist.barrier()

def script(request, key):
    number = int(request.id.rpartition("/")[2])
    lacking = number % 2 == int(sys.argv[5])
    return None if key == "fluency" and lacking else 1 + number

def make(spec, defaults=None):
    return ScriptedJudge(script if str(spec) == "inspector" else lambda request, key: 3)

shared.create_judge = make
model = Joined("#### 1")
model._rank, model._world_size = rank, 2
metadata = {"data": sys.argv[4], "reference": "recorded", "resamples": 5, "cache": False}
run = lm_eval.simple_evaluate(
    model=model, tasks=["gsm8k_inspector"], task_manager=manager(**metadata), limit=5
)
assert (run is None) == (rank == 1)
if rank == 0:
    config = run["configs"]["gsm8k_inspector"]
    found = {key: config[key] for key in ("scores", "agreement")}
    print(json.dumps({"row": run["results"]["gsm8k_inspector"], **found}))
dist.destroy_process_group()
"""


def in_two_processes(code: str, *arguments: str) -> list[str]:
    """Run code as ranks 0 and 1, and return what each printed last."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["PYTHONPATH"] = str(TESTS.parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN + code, str(rank), port, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    printed = []
    try:
        for process in processes:
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors[-3000:]
            printed.append((out.splitlines() or [""])[-1])
    finally:
        for process in processes:
            process.kill()
    return printed


def test_names_that_all_ranks_have_are_kept_in_order() -> None:
    names = [["fluency", "total", "coverage"], ["logicality", "coverage", "fluency"]]
    first, second = in_two_processes(NAMES, json.dumps(names))
    assert json.loads(first) == ["fluency", "coverage"]
    assert sorted(json.loads(second)) == ["coverage", "fluency"]


def test_a_single_process_keeps_all_names() -> None:
    assert on_all_ranks(["b", "a"]) == ["b", "a"]


@pytest.mark.parametrize("lacking", [0, 1])
def test_the_figures_are_those_of_all_ranks(data: Path, lacking: int) -> None:
    """Rank 0 judges documents 0, 2 and 4, rank 1 judges 1 and 3; one of them lacks fluency."""
    printed = in_two_processes(EVALUATE, str(TESTS), str(data), str(lacking))
    found: dict[str, Any] = json.loads(printed[0])
    row, fluent = found["row"], [n for n in range(5) if n % 2 != lacking]
    assert not {"fluency,inspector", "total,inspector"} & row.keys()
    assert row["logicality,inspector"] == (1 + 2 + 3 + 4 + 5) / 5
    assert row["coverage,inspector"] == pytest.approx((4 * 5 + len(fluent)) / 25)
    assert row["total,recorded"] == 15
    # The reference gives 3 only: a correlation is not defined, an accuracy is.
    assert row["spearman,inspector"] == "undefined"
    agreement = found["agreement"]["judges"]["inspector"]
    assert agreement["logicality"]["n"] == 5
    assert agreement["fluency"]["n"] == len(fluent)
    assert agreement["overall"]["accuracy"]["value"] == round(
        (4 + (2 in fluent)) / (20 + len(fluent)), 4
    )
    fluency = found["scores"]["inspector"]["criteria"]["fluency"]
    assert (fluency["asked"], fluency["scored"]) == (5, len(fluent))
    assert fluency["mean"] == sum(1 + n for n in fluent) / len(fluent)

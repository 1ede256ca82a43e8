"""lm_eval under `accelerate launch`: two CPU processes, each with half of the documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_plugin import write_plugin

TESTS = Path(__file__).resolve().parent
# Writes down which process judged what: the scores depend on the response alone.
JUDGE = """
import os
from pathlib import Path

class Length(Judge):
    def __init__(self, folder):
        self.folder = folder
    def judge(self, requests):
        with (Path(self.folder) / f"rank-{os.environ.get('RANK', 'alone')}").open("a") as file:
            file.writelines(f"{r.id}\\n" for r in requests)
        return [Judgement({key: self.score(r, key) for key in r.aspects}) for r in requests]
    def score(self, request, key):
        label = 1 + (len(request.response) + len(key)) % 5
        return AspectScore(float(label), label)

@hookimpl
def register_judges(register):
    register(Backend("length", "for a test", Length, (Option("folder", ""),)))
"""
# lm_eval's own `hf` shares documents out among processes on GPUs only, so the model is told here
# which of the processes it is in; all that passes between them goes through Accelerate.
EVALUATE = """
import json, sys
import lm_eval
from accelerate import Accelerator
from lm_eval.models.huggingface import HFLM
from harness_runs import manager

accelerator = Accelerator()
model = HFLM(pretrained=sys.argv[1], device="cpu", dtype="float32", batch_size=1)
model.accelerator = accelerator
model._rank, model._world_size = accelerator.process_index, accelerator.num_processes
run = lm_eval.simple_evaluate(
    model=model,
    tasks=["gsm8k_inspector"],
    task_manager=manager(**json.loads(sys.argv[2])),
    limit=5,
    gen_kwargs="max_gen_toks=8",
    bootstrap_iters=0,
)
assert (run is None) == (accelerator.process_index > 0)
if run is not None:
    found = {"row": run["results"]["gsm8k_inspector"]}
    found["scores"] = run["configs"]["gsm8k_inspector"]["scores"]
    open(sys.argv[3], "w").write(json.dumps(found))
"""


def evaluated(
    launcher: list[str], name: str, tiny_lm: Path, data: Path, folder: Path
) -> dict[str, Any]:
    """Run lm_eval in one or more processes, and return its results."""
    (folder / name).mkdir()
    judge = f"length:folder={folder / name}"
    metadata = {"data": str(data), "judge": judge, "resamples": 5, "cache": False}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["ACCELERATE_USE_CPU"] = "true"  # its --cpu starts one process only
    places = [str(folder), str(TESTS), str(TESTS.parent)]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    script, out = folder / "evaluate.py", folder / f"{name}.json"
    script.write_text(EVALUATE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *launcher, str(script), str(tiny_lm), json.dumps(metadata), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return found


def test_two_processes_come_to_what_one_does(tmp_path: Path, tiny_lm: Path, data: Path) -> None:
    pytest.importorskip("accelerate")
    write_plugin(tmp_path, "length-judge", JUDGE)
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launcher += ["--main_process_port", "0"]
    once = evaluated([], "alone", tiny_lm, data, tmp_path)
    twice = evaluated(launcher, "two", tiny_lm, data, tmp_path)
    judged = [(tmp_path / "two" / f"rank-{rank}").read_text().split() for rank in (0, 1)]
    assert [len(set(ids)) for ids in judged] == [3, 2]
    assert not set(judged[0]) & set(judged[1])
    assert once["row"]["coverage,length"] == 1
    for name in [key for key in once["row"] if key.endswith(",length")]:
        assert twice["row"][name] == once["row"][name]
    assert twice["scores"] == once["scores"]

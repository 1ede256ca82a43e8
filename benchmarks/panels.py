"""Panels and a cascade against the stored reference scores of GSM8K responses.

    python benchmarks/panels.py --data ../shared/data --rows 240 --out build/panels

An encoder is tuned on the rows of one half of the problems. A sample of the others, in two parts
by problem, is judged once by `inspector` (whose probes are cross-fitted), `tuned` and `lager`, and
panels make one score of these by each rule. The weights of a panel are the members' agreement with
the reference on the other part. The threshold of the cascade `inspector`, then the reference, is
planned on one part (`inspector plan cascade`) and used on the other, where the reference is an
endpoint on this machine that answers with the stored scores; `inspector` is not run again. Nothing
is judged by what was fitted, weighted or planned on its own problem. What is done stays in --out;
the command goes on there when it is called again. Prints the tables of docs/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import agreement
from inspector_plugin.cli.main import main as inspector
from inspector_plugin.data.folds import fold_of
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.judges.cascade import CascadeJudge, CascadeOptions
from inspector_plugin.judges.panel import RULES, PanelJudge, PanelOptions
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.report.tables import interval
from inspector_plugin.schema.criteria import MULTICLASS
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from chat_server import Answer, ChatServer, judgement, response_of

FILE, ENCODER = "reference/gsm8k.deepseek-v3.jsonl", "all-minilm-l6-v2"
MEMBERS = ("inspector", "tuned", "lager")
PANELS = {"the three": MEMBERS, "without lager": MEMBERS[:2]}
STATISTICS = ("macro_f1", "accuracy", "quadratic_kappa", "spearman")
PARTS = (0, 1)
Row = dict[str, Any]
Scores = dict[str, list[CriterionScore]]
Judged = tuple[Row, CriterionScore]


class Stored(Judge):
    """Gives scores that are there already, with their probabilities, in order of the requests."""

    def __init__(self, judgements: Sequence[Judgement]) -> None:
        """Take them."""
        self._judgements = judgements

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Give them."""
        return [self._judgements[int(request.id or 0)] for request in requests]


def part_of(row: Row) -> int | None:
    """The part that a row belongs to by its problem; None if that is for tuning."""
    quarter = fold_of(problem_identity(row["question"]), 4)
    return None if quarter in (0, 1) else quarter - 2


def run(*command: object) -> None:
    """Run a command of ours."""
    if inspector([str(each) for each in command]) != 0:
        sys.exit(f"failed: inspector {' '.join(map(str, command))}")


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def judge_members(out: Path, rows: Sequence[Row], size: int, seed: int) -> None:
    """Tune on one half of the problems, and judge a sample of the others by each member."""
    write_rows(out / "tuning.jsonl", [row for row in rows if part_of(row) is None])
    tune = ("tune", out / "tuning.jsonl", "--kind", "encoder", "--base", ENCODER)
    settings = ("--folds", 3, "--epochs", 2, "--max-tokens", 256, "--dtype", "auto")
    run(*tune, *settings, "--dataset", "gsm8k", "--out", out / "tuned")
    others = [row for row in rows if part_of(row) is not None]
    sample = random.Random(seed).sample(others, min(size, len(others)))
    judges = ("inspector", f"tuned:path={out / 'tuned'}", "lager")
    for part in PARTS:
        write_rows(out / f"part-{part}.jsonl", [row for row in sample if part_of(row) == part])
        score(out / f"part-{part}.jsonl", out / f"members-{part}.jsonl", *judges)


def score(rows: Path, out: Path, *judges: str) -> None:
    """Judge rows on the one criterion that each is scored on; an output that is there resumes."""
    flags = [flag for judge in judges for flag in ("--judge", judge)]
    run("score", rows, *flags, "--criterion-field", "aspect", "--dataset", "gsm8k", "--out", out)


def read_part(out: Path, part: int) -> tuple[list[Row], dict[str, list[Judgement]]]:
    """Read the rows of a part, and what each member says of them."""
    rows = [row for _, row in read_rows(out / f"members-{part}.jsonl")]
    found: dict[str, list[Judgement]] = {name: [] for name in MEMBERS}
    for row in rows:
        for name, content in row["judgements"].items():
            found[name.partition(":")[0]].append(Judgement.from_json(content))
    return rows, found


def requests_of(rows: Sequence[Row]) -> list[JudgeRequest]:
    """The rows as requests, each with its place for `Stored`."""
    return [
        JudgeRequest(row["question"], row["response"], (row["aspect"],), id=str(place))
        for place, row in enumerate(rows)
    ]


def weigh(out: Path, part: int) -> Path:
    """Measure each member's agreement on a part, for the weights of a panel."""
    files = (out / f"members-{part}.jsonl", out / f"part-{part}.jsonl")
    path = out / f"agreement-{part}.json"
    path.unlink(missing_ok=True)
    run("agree", *files, "--resamples", 0, "--format", "json", "--out", path)
    return path


def judge_panels(out: Path) -> tuple[list[Row], Scores]:
    """Score by each member and each panel, both parts one after the other."""
    rows: list[Row] = []
    scores: Scores = {}
    for part in PARTS:
        own, members = read_part(out, part)
        weights = weigh(out, 1 - part)
        judges: dict[str, Judge] = {name: Stored(members[name]) for name in MEMBERS}
        for (title, names), rule in ((p, rule) for p in PANELS.items() for rule in RULES):
            chosen = PanelOptions(rule=rule, weights=str(weights) if rule == "weighted" else None)
            judges[f"{rule} of {title}"] = PanelJudge({n: judges[n] for n in names}, chosen)
        requests = requests_of(own)
        for name, judge in judges.items():
            judged = judge_all(judge, requests, progress=False)
            scores.setdefault(name, []).extend(
                each.scores[row["aspect"]] for each, row in zip(judged, own, strict=True)
            )
        rows += own
    return rows, scores


def reference_of(row: Row) -> CriterionScore:
    """The stored score of a row."""
    return CriterionScore(float(row["score"]), int(row["score"]), scale=MULTICLASS)


def print_agreement(rows: Sequence[Row], scores: Scores, seed: int) -> None:
    """Print how far each judge agrees with the reference."""
    print(f"| judge | n | {' | '.join(STATISTICS)} |\n| --- |{' --- |' * (1 + len(STATISTICS))}")
    reference = [reference_of(row) for row in rows]
    problems = [problem_identity(row["question"]) for row in rows]
    for name, own in scores.items():
        found = agreement(own, reference, problems, seed=seed)
        cells = [cell(found.statistics[statistic]) for statistic in STATISTICS]
        print(f"| {name} | {found.n} | {' | '.join(cells)} |")
    print()


def cell(found: Estimate | None) -> str:
    """Write a figure with its interval."""
    return "not defined" if found is None else interval(found.value, found.low, found.high)


def answer(stored: Mapping[tuple[str, str], int], body: dict[str, Any], number: int) -> Answer:
    """Answer a call of the prompt judge with the stored score."""
    text = body["messages"][0]["content"]
    [key] = [criterion.key for criterion in ROSCOE if criterion.definition in text]
    return Answer(content=judgement(stored[response_of(body).strip(), key]))


def judge_cascade(out: Path, least: float, seed: int) -> None:
    """Plan a cascade on each part, run it on the other, and print what was planned and found."""
    print("| planned on | threshold | asked, planned | agreement, planned | asked | agreement |")
    print("| --- |" + " --- |" * 5)
    judged: list[Judged] = []
    for part in PARTS:
        other, plan = 1 - part, out / f"plan-{part}.json"
        files = [out / f"{name}-{other}.jsonl" for name in ("members", "part")]
        chosen = read_plan(plan, *files, "--judge", "inspector", "--agreement", least)
        rows, members = read_part(out, part)
        stored = {(row["response"].strip(), row["aspect"]): row["score"] for row in rows}
        with (
            ChatServer(partial(answer, stored)) as server,
            create_judge(f"prompt:model=deepseek-v3,base_url={server.url}") as reference,
        ):
            both = {"inspector": Stored(members["inspector"]), "deepseek-v3": reference}
            cascade = CascadeJudge(both, CascadeOptions(threshold=chosen["threshold"]))
            found = judge_all(cascade, requests_of(rows), progress=False)
        own = [(row, each.scores[row["aspect"]]) for row, each in zip(rows, found, strict=True)]
        asked = sum(len(each.members or {}) > 1 for _, each in own)
        assert len(server.calls) == asked, (len(server.calls), asked)
        judged += own
        planned = [cell(Estimate(**chosen[name])) for name in ("asked", "agreement")]
        cells = [str(other + 1), f"{chosen['threshold']:.2f}", *planned, *found_of(own, seed)]
        print(f"| {' | '.join(cells)} |")
    print(f"| both | | | | {' | '.join(found_of(judged, seed))} |\n")


def read_plan(path: Path, members: Path, reference: Path, *goal: object) -> dict[str, Any]:
    """Run `inspector plan cascade` and read what it chose."""
    command = ("plan", "cascade", members, "--reference", reference, *goal, "--format", "json")
    with path.open("w", encoding="utf-8") as file, redirect_stdout(file):
        run(*command)
    chosen: dict[str, Any] = json.loads(path.read_text("utf-8"))["chosen"]
    return chosen


def found_of(judged: Sequence[Judged], seed: int) -> list[str]:
    """The share that the reference was asked for, and the agreement with it, as cells."""
    rows, scores = zip(*judged, strict=True)
    problems = [problem_identity(row["question"]) for row in rows]
    found = agreement(scores, [reference_of(row) for row in rows], problems, seed=seed)
    asked = sum(len(each.members or {}) > 1 for each in scores)
    return [f"{asked} of {len(scores)}", cell(found.statistics["accuracy"])]


def main() -> None:
    """Judge, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path, help="folder of the data")
    parser.add_argument("--rows", type=int, default=240, help="rows of the sample (default: 240)")
    parser.add_argument("--out", type=Path, default=Path("build/panels"), help="where to write")
    parser.add_argument("--agreement", type=float, default=0.7, help="that the cascade has to have")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [row for _, row in read_rows(options.data / FILE) if row["response"].strip()]
    judge_members(options.out, rows, options.rows, options.seed)
    print_agreement(*judge_panels(options.out), options.seed)
    judge_cascade(options.out, options.agreement, options.seed)


if __name__ == "__main__":
    main()

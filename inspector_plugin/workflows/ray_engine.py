"""Judging on Ray: chunks of rows, judged by actors on one machine or a cluster.

Each actor rebuilds the judges from their specifications, so that there is one language model for
each actor or GPU. A chunk is read by the actor that judges it and written to a file of its own;
whichever rows are in the files are finished. Ray starts an actor that was killed again, and gives
its chunk to another meanwhile. A row that a judge fails on is unscored with the reason.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.requests import RequestForm, RequestRow
from inspector_plugin.errors import InspectorError, JudgeError, OptionError
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import cannot_judge
from inspector_plugin.judging.score_file import judged_line, score_rows
from inspector_plugin.judging.validate import description_of
from inspector_plugin.plugins.options import JudgeSpec, OptionValue
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.schema.records import Judgement, unjudged
from inspector_plugin.workflows.judged_folder import JudgedFolder, judged_table
from inspector_plugin.workflows.ray_address import require_answer
from inspector_plugin.workflows.row_chunks import Chunk, ChunkedRows

INSTALL = 'pip install "inspector_plugin[ray]"'
# Rows in a row that a judge may fail on: after so many it is not the rows.
_MOST_FAILED = 32
# How often a chunk is tried again whose actor was killed: a row may be what kills it.
_MOST_RETRIES = 5

Result = TypeVar("Result")


@dataclass(frozen=True)
class RayPlan:
    """What runs on Ray.

    Attributes:
        specs: The judges, by their names in this run.
        defaults: What flags set for every judge.
        form: How rows become requests.
        cached: Whether the judge cache of each machine is used.
        address: The cluster; None for the one in RAY_ADDRESS, or else this machine alone.
        actors: How many actors; None for one a GPU, or one where there is none.
        cpus: CPU cores of each actor; None for an equal share of them.
        gpus: GPUs of each actor; None for one where there are any.
    """

    specs: Mapping[str, JudgeSpec]
    defaults: Mapping[str, OptionValue]
    form: RequestForm
    cached: bool = True
    address: str | None = None
    actors: int | None = None
    cpus: float | None = None
    gpus: float | None = None

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The judges and criteria that get a column of scores."""
        if self.form.rubric_field is not None:
            return []
        return [(name, criterion.key) for name in self.specs for criterion in self.form.criteria]


class RayRun:
    """A connection to Ray, and what a plan may use of it."""

    def __init__(self, plan: RayPlan) -> None:
        """Connect, or start Ray on this machine.

        Raises:
            OptionError: If Ray is not installed, there is no such cluster, or it is too small.
        """
        # Nothing about this run goes anywhere; a worker's environment is made of this one.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # An actor without a GPU sees none: Ray's default of the future, without its warning.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray: Any = importlib.import_module("ray")
            importlib.import_module("ray.data")
        except ImportError as missing:
            raise OptionError(f"--engine ray needs the ray package: {INSTALL}") from missing
        self._ray, self._plan = ray, plan
        where = plan.address or os.environ.get("RAY_ADDRESS")
        try:
            require_answer(where)
            ray.init(
                address=plan.address,
                log_to_driver=False,
                logging_level="error",
                **({} if where else {"include_dashboard": False}),
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise OptionError(
                f"--engine ray: cannot reach a cluster at {where or 'this machine'} ({reason}); "
                "start one with: ray start --head, or leave --ray-address out to run on this "
                "machine alone."
            ) from error
        self._share()

    def __enter__(self) -> RayRun:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def described(self, rows: ChunkedRows) -> tuple[dict[str, Any], list[str]]:
        """Make the judges where they will run, and ask what they are made of.

        Returns:
            The description of each judge, by name, and what is to be said of scores that will be
            missing.

        Raises:
            InspectorError: If a judge cannot be made, or can judge none of the rows.
        """
        asking = self._ray.remote(num_cpus=self._cpus, num_gpus=self._gpus)(_described)
        found: tuple[dict[str, Any], list[str]]
        found = self._explained(lambda: self._ray.get(asking.remote(self._plan, rows.asked)))
        return found

    def judge(self, rows: ChunkedRows, finished: NDArray[np.int64], folder: JudgedFolder) -> None:
        """Judge what is not finished into a folder.

        Raises:
            InspectorError: If a judge cannot go on, or the folder cannot be written.
        """
        chunks = list(unfinished(rows.chunks, finished))
        if not chunks:
            return
        data = self._ray.data
        context = data.DataContext.get_current()
        context.print_on_execution_start = False
        context.enable_progress_bars = sys.stderr.isatty()
        items = [{"chunk": asdict(chunk)} for chunk in chunks]
        judged = data.from_items(items, override_num_blocks=len(items)).map_batches(
            Judging,
            fn_constructor_args=(self._plan,),
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(
                size=min(self.actors, len(chunks)), max_tasks_in_flight_per_actor=2
            ),
            num_cpus=self._cpus,
            num_gpus=self._gpus or None,
            max_restarts=-1,
            max_task_retries=_MOST_RETRIES,
        )
        self._explained(lambda: judged.write_parquet(folder.place, ray_remote_args={"num_cpus": 0}))

    def _share(self) -> None:
        """Say how many actors there are and what each gets."""
        plan, there = self._plan, self._ray.cluster_resources()
        on_gpu = there.get("GPU", 0) >= 1 and plan.defaults.get("device") != "cpu"
        self._gpus = plan.gpus if plan.gpus is not None else float(on_gpu)
        by_gpu = max(1, int(there.get("GPU", 0) // self._gpus)) if self._gpus else 1
        self.actors = plan.actors or by_gpu
        largest = max(node["Resources"].get("CPU", 0) for node in self._ray.nodes())
        share = max(1.0, min(largest, there.get("CPU", 1) // self.actors))
        self._cpus = plan.cpus if plan.cpus is not None else (1.0 if self._gpus else share)
        for what, each in (("CPU", self._cpus), ("GPU", self._gpus)):
            if each * self.actors > there.get(what, 0):
                self._ray.shutdown()
                raise OptionError(
                    f"--actors {self.actors} of {each:g} {what}s each are more than the "
                    f"{there.get(what, 0):g} of the cluster; ask for fewer, or set "
                    f"--{what.lower()}s-per-actor."
                )

    def _explained(self, run: Callable[[], Result]) -> Result:
        """Run on Ray; an error for the user that was raised there is raised here."""
        try:
            return run()
        except self._ray.exceptions.RayError as error:
            inner = _user_error(error)
            if inner is not None:
                raise inner from error
            reason = " ".join(str(error).split())[-300:]
            raise JudgeError(
                f"Ray gave up ({type(error).__name__}: {reason}); what is finished stays, and the "
                "same command goes on from there."
            ) from error


class Judging:
    """An actor: reads chunks and judges them."""

    def __init__(self, plan: RayPlan) -> None:
        """Make the judges.

        Args:
            plan: What runs.
        """
        self._plan = plan
        self._judges = _made(plan)
        self._stack = contextlib.ExitStack()
        self._cache = self._stack.enter_context(opened_cache(plan.cached))

    def __call__(self, batch: Any) -> Any:
        """Judge one chunk; return its table."""
        (given,) = batch["chunk"].to_pylist()
        wanted = given.pop("wanted")
        chunk = Chunk(**given, wanted=None if wanted is None else tuple(wanted))
        numbered = list(chunk.read(self._plan.form))
        rows = [row for _, row in numbered]
        answers = [self._answers(name, judge, rows) for name, judge in self._judges.items()]
        judged = [dict(zip(self._judges, each, strict=True)) for each in zip(*answers, strict=True)]
        lines = [judged_line(row.row, each) for row, each in zip(rows, judged, strict=True)]
        numbers = [number for number, _ in numbered]
        return judged_table(numbers, lines, judged, self._plan.columns)

    def _answers(self, name: str, judge: Judge, rows: Sequence[RequestRow]) -> list[Judgement]:
        """Judge rows together, and where that fails, what is left one by one."""
        found: list[Judgement] = []

        def ask(some: Sequence[RequestRow]) -> None:
            score_rows(
                some,
                {name: judge},
                lambda lines: None,
                on_row=lambda row, judged: found.append(judged[name]),
                cache=self._cache,
            )

        try:
            ask(rows)
            return found
        except Exception:  # noqa: BLE001  (whatever it is, the rows tell one by one)
            failed = 0
        for row in rows[len(found) :]:
            try:
                ask([row])
                failed = 0
            except Exception as error:  # a judge's own fault may be anything
                failed += 1
                if failed >= _MOST_FAILED:
                    raise
                reason = f"the judge failed: {' '.join(str(error).split())[:300]}"
                found.append(unjudged(row.request, reason, transient=True, scale=judge.scale))
        return found


def unfinished(chunks: Sequence[Chunk], finished: NDArray[np.int64]) -> Iterator[Chunk]:
    """Leave out of chunks what is finished.

    Args:
        chunks: All chunks.
        finished: Numbers of finished rows, int64, in order.
    """
    for chunk in chunks:
        start, end = np.searchsorted(finished, [chunk.first, chunk.first + chunk.rows])
        done = set((finished[start:end] - chunk.first).tolist())
        if not done:
            yield chunk
        elif len(done) < chunk.rows:
            yield replace(chunk, wanted=tuple(n for n in range(chunk.rows) if n not in done))


def _made(plan: RayPlan) -> dict[str, Judge]:
    registry = make_registry()
    return {name: create_judge(spec, plan.defaults, registry) for name, spec in plan.specs.items()}


def _described(plan: RayPlan, asked: Any) -> tuple[dict[str, Any], list[str]]:
    judges, notes = _made(plan), []
    for name, judge in judges.items():
        reasons = cannot_judge(judge, asked)
        if asked and reasons.total() == asked.total():
            raise OptionError(f"Judge {name!r} can judge none of the rows: {'; '.join(reasons)}.")
        notes += [
            f"{name}: {count} of {asked.total()} scores will be missing: {reason}"
            for reason, count in reasons.items()
        ]
    described = {name: dict(description_of(judge, name)) for name, judge in judges.items()}
    for judge in judges.values():
        judge.close()
    return described, notes


def _user_error(error: BaseException | None) -> InspectorError | None:
    """Find the error for the user among what led to an error of Ray's."""
    for _ in range(20):
        if error is None:
            return None
        # Ray makes an error that is both its own and of the kind that was raised.
        if isinstance(error, InspectorError) and not hasattr(error, "cause"):
            return error
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__
    return None

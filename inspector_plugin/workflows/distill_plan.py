"""What `inspector distill` is asked for, where its files are, and what labels cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.agreement.bars import Bar
from inspector_plugin.agreement.replacement import DEFAULT_BAR
from inspector_plugin.data.files import run_file
from inspector_plugin.data.requests import RequestForm, RequestRow
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.options import JudgeSpec, OptionValue
from inspector_plugin.plugins.registry import JudgeRegistry, create_judge
from inspector_plugin.schema.criteria import LABELS
from inspector_plugin.schema.records import total_usage
from inspector_plugin.schema.usage import Usage

# The names of the judge that comes of it, and of its data set among packs.
DISTILLED = DATASET = "distilled"
AUTO, NONE = "auto", "none"
PROBE_LABELS = (AUTO, *LABELS)
# Estimates of cost are no better than this: so much of a budget is planned to be spent.
_OF_BUDGET = 0.95
_ESTIMATED_ROWS = 1000
_UNSAFE = ",|[]"


@dataclass(frozen=True)
class Running:
    """Where the language model of the probes runs; None for the judge's own defaults."""

    device: str | None = None
    dtype: str | None = None
    batch_size: str = "auto"
    jobs: int | None = None

    @property
    def judge_options(self) -> dict[str, OptionValue]:
        """What is handed to judges that have such an option."""
        given = {"device": self.device, "dtype": self.dtype, "batch_size": self.batch_size}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class DistillPlan:
    """What is asked for.

    Attributes:
        out: The folder of all outputs.
        reference: The expensive judge.
        form: How rows become requests, and the criteria.
        training: How probes are trained; it holds the seed of all choices, too.
        model: The language model that the probes read.
        max_cost: US dollars that the labels must not pass, over all calls of the command.
        labels: The most rows to label.
        held_out: Share of problems, and of the labels, that is held back.
        bars: What agreement has to clear.
        cheap: The judge whose doubt guides the choice of rows: a specification, "auto" for the
            probes that ship where they can judge the rows, or "none".
        probe_labels: "multiclass", "binary", or "auto": whichever more criteria can be trained on.
        reference_options: Options for the reference, such as `concurrency`.
        running: Where the language model runs.
        audit_rows: How many held-out responses, and problems of the sanity suite, the audits take;
            0 for no audits.
        cached: Whether the user's judge cache is used; else one in the folder.
        resamples: Of the intervals.
    """

    out: Path
    reference: JudgeSpec
    form: RequestForm
    training: TrainingPlan
    model: str = "smollm2-135m-instruct"
    max_cost: float | None = None
    labels: int | None = None
    held_out: float = 0.4
    bars: tuple[Bar, ...] = (DEFAULT_BAR,)
    cheap: str = AUTO
    probe_labels: str = AUTO
    reference_options: Mapping[str, OptionValue] = field(default_factory=dict)
    running: Running = field(default_factory=Running)
    audit_rows: int = 20
    cached: bool = True
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.labels is None and self.max_cost is None:
            raise OptionError(
                "Say how much to label: --max-cost USD, --labels N, or both; --dry-run shows what "
                "labels cost."
            )
        if not 0 < self.held_out < 1:
            raise OptionError(f"--held-out must be above 0 and below 1, not {self.held_out:g}.")
        if self.max_cost is not None and not 0 < self.max_cost < math.inf:
            raise OptionError(f"--max-cost must be above 0, not {self.max_cost:g}.")
        if any(each in str(self.out) for each in _UNSAFE):
            raise OptionError(
                f"--out {self.out}: the folder's name becomes part of a judge's specification and "
                "cannot hold , | [ or ]; give another one."
            )
        for criterion in self.form.criteria:
            if criterion.of_question:
                raise OptionError(
                    f"--criteria: {criterion.key!r} judges questions, and probes judge responses; "
                    "leave it out."
                )
            if criterion.instances:
                raise OptionError(
                    f"--criteria: {criterion.key!r} has items for single problems, and probes "
                    "learn one criterion for all; give a rubric of the whole data set."
                )

    @property
    def seed(self) -> int:
        """The seed of all choices."""
        return self.training.seed

    @property
    def rows(self) -> Path:
        """The rows chosen."""
        return self.out / "rows.jsonl"

    @property
    def labelled(self) -> Path:
        """These rows with the reference's judgements."""
        return self.out / "labels.jsonl"

    @property
    def spending(self) -> Path:
        """What each call of the reference has cost."""
        return self.out / "spending.jsonl"

    @property
    def own_cache(self) -> Path:
        """The judge cache of this folder, where the user's own is not to be used."""
        return self.out / "judgements.sqlite"

    @property
    def choice(self) -> Path:
        """What is to be said of the choice of rows."""
        return self.out / "choice.json"

    @property
    def training_rows(self) -> Path:
        """The labelled rows to train on."""
        return self.out / "training.jsonl"

    @property
    def probes(self) -> Path:
        """The packs."""
        return self.out / "probes"

    @property
    def judged(self) -> Path:
        """The held-out rows with the judgements of both."""
        return self.out / "held-out.jsonl"

    @property
    def measured(self) -> Path:
        """How fast the distilled judge was."""
        return self.out / "speed.json"

    @property
    def audit(self) -> Path:
        """The figures of the audits."""
        return self.out / "audit.json"

    @property
    def judges(self) -> Path:
        """The specifications of the judges to use."""
        return self.out / "judges.json"

    @property
    def summary(self) -> Path:
        """All figures as JSON."""
        return self.out / "summary.json"

    @property
    def markdown(self) -> Path:
        """The conclusions as Markdown."""
        return self.out / "summary.md"

    @property
    def report(self) -> Path:
        """The page."""
        return self.out / "report.html"

    @property
    def written(self) -> list[Path]:
        """Every file of the folder but the packs and the cache."""
        resumed = [self.rows, self.labelled, self.judged]
        derived = [self.choice, self.training_rows, self.measured, self.audit, self.judges]
        concluded = [self.summary, self.markdown, self.report]
        run_files = [run_file(path) for path in resumed]
        return [*resumed, *run_files, *derived, *concluded, self.spending]


@dataclass(frozen=True)
class Estimate:
    """What labels cost.

    Attributes:
        rows: How many rows the estimate is made of.
        usage: What these would take; None for a judge whose calls cost nothing, as far as it says.
    """

    rows: int
    usage: Usage | None

    @property
    def price(self) -> float | None:
        """US dollars for a row; None if it is not known."""
        if self.usage is None or self.usage.money is None or not self.rows:
            return None
        return self.usage.money / self.rows


def estimated(
    plan: DistillPlan, rows: Iterable[RequestRow], numbers: Sequence[int], registry: JudgeRegistry
) -> Estimate:
    """Estimate without a call what it costs to label rows, from at most a thousand of them.

    Args:
        plan: Names the reference.
        rows: All rows.
        numbers: Which of them can be labelled.
        registry: Where judges come from.
    """
    names = {option.name for option in registry.get(plan.reference.name).backend.option_list}
    if "dry_run" not in names:
        return Estimate(0, None)
    order = np.random.default_rng([plan.seed, 4]).permutation(len(numbers))[:_ESTIMATED_ROWS]
    drawn = {numbers[place] for place in order.tolist()}
    some = [row.request for number, row in enumerate(rows) if number in drawn]
    options = {name: value for name, value in plan.reference_options.items() if name in names}
    with create_judge(plan.reference, {**options, "dry_run": True}, registry) as judge:
        judged = judge_all(judge, some, name=plan.reference.name, progress=False)
    return Estimate(len(some), total_usage(judged))


def label_count(plan: DistillPlan, estimate: Estimate, candidates: int) -> int:
    """How many rows to label.

    Raises:
        OptionError: If the budget cannot be turned into a number, or buys nothing.
    """
    counts = [candidates] if plan.labels is None else [candidates, plan.labels]
    if plan.max_cost is not None:
        price = estimate.price
        if price is None and plan.labels is None:
            raise OptionError(
                f"--max-cost: what {plan.reference.name!r} costs is not known; give its prices "
                "(option prices=FILE), or say how many rows to label with --labels N."
            )
        if price:
            counts.append(int(_OF_BUDGET * plan.max_cost / price))
    count = min(counts)
    if not count:
        raise OptionError(
            f"--max-cost {plan.max_cost:g} is less than the estimate for one row "
            f"(${estimate.price or 0:.6f}); give more."
        )
    return count


def distilled_spec(plan: DistillPlan, labels: str) -> JudgeSpec:
    """The judge that reads the probes of the folder."""
    options: dict[str, OptionValue] = {"probes": str(plan.probes), "dataset": DATASET}
    if labels == "binary":
        options["labels"] = labels
    return JudgeSpec("inspector", options)


def cascade_spec(plan: DistillPlan, labels: str, threshold: float) -> str:
    """The judge that asks the reference where the distilled one is unsure, or saw a part only."""
    members = "|".join(f"[{each}]" for each in (distilled_spec(plan, labels), plan.reference))
    binary = ",labels=binary" if labels == "binary" else ""
    return f"cascade:of={members},threshold={threshold:g},flags=truncated{binary}"


def describes(plan: DistillPlan) -> dict[str, Any]:
    """What decides which rows are chosen, as values that JSON can hold."""
    return {
        "command": "distill",
        "reference": str(plan.reference),
        "criteria": [criterion.described() for criterion in plan.form.criteria],
        "dataset": plan.form.dataset,
        "fields": {name: value for name, value in vars(plan.form.fields).items() if value},
        "labels": plan.labels,
        "held_out": plan.held_out,
        "cheap": plan.cheap,
        "seed": plan.seed,
    }

"""lm_eval tasks whose responses are judged."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from datasets.exceptions import DatasetsError
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from inspector_plugin.data.benchmarks import BENCHMARKS, Benchmark, Question
from inspector_plugin.data.rubrics import require_items
from inspector_plugin.errors import DataError, InspectorError, OptionError, one_of
from inspector_plugin.folders import shipped_folder
from inspector_plugin.harness import metrics, results
from inspector_plugin.harness.base_task import inherit
from inspector_plugin.harness.command_line import show_errors_in_one_line
from inspector_plugin.harness.documents import read_file, read_splits
from inspector_plugin.harness.ranks import on_all_ranks
from inspector_plugin.harness.responses import (
    JudgedDocument,
    JudgedResponses,
    as_logged,
    judged_responses,
)
from inspector_plugin.harness.settings import Settings, read_task_criteria
from inspector_plugin.harness.shared import shared_cache, shared_judge
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.judging.validate import description_of
from inspector_plugin.report.tables import plain
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import Judgement, JudgeRequest, total_usage, unjudged
from inspector_plugin.schema.roscoe import ROSCOE

_LOG = logging.getLogger(__name__)
_EXACT_MATCH = "exact_match"


class JudgedTask(ConfigurableTask):  # type: ignore[misc]
    """A generative task of lm_eval whose responses are judged when all are generated.

    A YAML file names this class under `class`, and has keys of ours; docs/own-tasks.md shows how:

    - `base`: the task to inherit everything else from, as a name or a path;
    - `question`: the problem as judges see it: a field, or a Jinja template over the document;
    - `dataset`: the name of the data set, which says whose probes judge;
    - `criteria`: what to judge on, unless the run says otherwise;
    - `benchmark`: a key of `BENCHMARKS`, which stands for `question` and `dataset`;
    - `documents`: a JSONL file below `tasks/` to use as all splits, whatever `data` says.

    Judges and all else come from lm_eval's metadata, see `Settings`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """Check everything that can be checked before anything is generated.

        Raises:
            InspectorError: If a judge, an option or the data cannot be used.
        """
        show_errors_in_one_line()
        own = dict(config)
        own.pop("class", None)
        folder = Path((own.get("metadata") or {}).get("config_source", "inline")).parent
        self._settings = Settings.read(own.get("metadata") or {})
        self._judges = {
            name: shared_judge(spec, self._settings.defaults)
            for name, spec in self._settings.specs.items()
        }
        self._descriptions = {
            name: description_of(judge, name) for name, judge in self._judges.items()
        }
        self._cache = shared_cache() if self._settings.cache and self._judges else None
        self._gathered: list[list[JudgedDocument]] = []
        self._benchmark = _benchmark(own)
        benchmark = own.pop("benchmark", None)
        self._dataset: str | None = _text(own, "dataset") or benchmark
        self._question = Question(self._question_text(own))
        task_criteria = read_task_criteria(own.pop("criteria", None), folder)
        self._criteria: tuple[Criterion, ...] = self._settings.criteria or task_criteria or ROSCOE
        self._documents: str | None = own.pop("documents", None)
        inherited = inherit(own, _text(own, "base"), folder, self._settings.seed)
        _require_responses(inherited)
        if self._settings.split is not None:
            inherited["test_split"] = self._settings.split
        super().__init__(config=inherited)
        self._refuse_names_that_are_taken()
        self._question.of(self.task_docs[0])
        questions = map(self._question.of, self.task_docs)
        require_items(self._criteria, questions, f"task {self.task_name}")

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Load the documents: our own, from the folder that `data` names, or from the hub.

        Raises:
            DataError: If they cannot be had.
        """
        if self._documents is not None and self._benchmark is not None:
            rows = read_file(shipped_folder("tasks") / self._documents, self._benchmark)
            self.dataset = dict.fromkeys(self._benchmark.files, rows)
        elif self._settings.data is not None and self._benchmark is not None:
            subset = self.DATASET_NAME or ""
            self.dataset = read_splits(self._settings.data, self._benchmark, subset)
        else:
            self._download_from_hub(dataset_kwargs, **kwargs)

    def apply_filters(self) -> list[Instance] | None:
        """Apply lm_eval's filters, then judge all responses in one batch for each judge."""
        filtered: list[Instance] | None = super().apply_filters()
        self._gathered.clear()
        if "bypass" not in self._metric_fn_list:  # lm_eval --predict_only
            self._judge_instances(self._instances)
        return filtered

    def process_results(self, doc: Mapping[str, Any], filtered: list[Any]) -> dict[str, Any]:
        """Give the metrics of one document: ours in a judge's row, lm_eval's own in others."""
        judged = judged_responses(filtered[0])
        if judged is not None:
            return metrics.document_metrics(judged, list(super().aggregation()))
        inherited: dict[str, Any] = super().process_results(doc, filtered)
        return inherited

    def aggregation(self) -> dict[str, Any]:
        """Add our metrics' aggregations to lm_eval's."""
        settings = self._settings
        ours = metrics.aggregations(
            self._metric_names(settings.reference is not None),
            settings.seed,
            settings.resamples,
            self._gathered.append,
        )
        return {**super().aggregation(), **ours}

    def higher_is_better(self) -> dict[str, bool]:
        """Add our metrics to lm_eval's."""
        names = self._metric_names(self._settings.reference is not None)
        return {**super().higher_is_better(), **dict.fromkeys(names, True)}

    def dump_config(self) -> dict[str, Any]:
        """Write down in lm_eval's results what has judged, what was judged, and the figures."""
        config: dict[str, Any] = super().dump_config()
        settings = self._settings
        names = list(self._judges)
        reference = None if settings.reference is None else settings.reference[0]
        config["metadata"] = {
            **config["metadata"],
            "inspector": {
                "judges": {
                    name: {"spec": str(spec), **self._descriptions[name]}
                    for name, spec in settings.specs.items()
                },
                "reference": reference,
                "defaults": dict(settings.defaults),
                "criteria": [criterion.described() for criterion in self._criteria],
                "dataset": self._dataset,
                "question": self._question.text,
                "data": self._data_source(),
                "gold": settings.gold,
                "seed": settings.seed,
                "resamples": settings.resamples,
            },
        }
        if self._gathered:
            task_results = results.summarise(
                str(self.task_name),
                dict(zip(names, self._gathered, strict=True)),
                reference,
                settings.seed,
                settings.resamples,
            )
            config |= task_results.to_json()
            results.print_when_done(task_results)
        return config

    def _metric_names(self, compared: bool) -> list[str]:
        return metrics.metric_names(self._criteria, compared)

    def _question_text(self, own: dict[str, Any]) -> str:
        text = _text(own, "question")
        if text is None and self._benchmark is None:
            raise OptionError(
                f"Task {own.get('task')!r} does not say what its problem is: give question: with "
                "a field of its documents, or a Jinja template over them."
            )
        if text is not None:
            return text
        assert self._benchmark is not None
        return self._benchmark.question

    def _refuse_names_that_are_taken(self) -> None:
        for name in self._judges:
            if any(each.name == name for each in self._filters):
                raise OptionError(
                    f"Judge {name!r} has the name of a filter of {self.task_name}; give it an "
                    f"option, as in {name}:key=value, so that its rows can be told apart."
                )
        taken = set(super().aggregation())
        for criterion in self._criteria:
            if criterion.key in taken:
                raise OptionError(
                    f"{self.task_name} has a metric {criterion.key!r} of its own; give the "
                    "criterion another key."
                )

    def _download_from_hub(self, dataset_kwargs: dict[str, Any] | None, **kwargs: Any) -> None:
        try:
            # In memory, so that no shuffled order is cached on disk for later runs.
            super().download({**(dataset_kwargs or {}), "keep_in_memory": True}, **kwargs)
        # Also no connection, a data set that asks for a login, and files that are not there.
        except (OSError, DatasetsError) as error:
            reason = " ".join(str(error).split())
            local = "; give a local folder with --data (metadata key data) or INSPECTOR_DATA"
            raise DataError(
                f"Cannot load the data set {self.DATASET_PATH} ({reason})"
                f"{local if self._benchmark is not None else ''}."
            ) from error

    def _data_source(self) -> str:
        if self._documents is not None:
            return f"tasks/{self._documents}"
        local = self._settings.data if self._benchmark is not None else None
        return str(local or f"hub: {self.DATASET_PATH}")

    def _judge_instances(self, instances: list[Instance]) -> None:
        requests = [self._requests(instance) for instance in instances]
        judged = {
            name: _judge_nested(judge, requests, f"{self.task_name}, {name}", self._cache)
            for name, judge in self._judges.items()
        }
        for name, nested in judged.items():
            usage = total_usage(chain.from_iterable(nested))
            if usage is not None:
                _LOG.info("%s, %s: %s", self.task_name, name, usage)
        reference = None if self._settings.reference is None else self._settings.reference[0]
        for name, judgements in judged.items():
            compared = judged[reference] if reference is not None and name != reference else None
            reported = on_all_ranks(
                metrics.with_values(self._metric_names(compared is not None), judgements)
            )
            for index, instance in enumerate(instances):
                responses = JudgedResponses(
                    requests[index],
                    judgements[index],
                    None if compared is None else compared[index],
                    reported,
                )
                instance.filtered_resps[name] = as_logged(responses)

    def _requests(self, instance: Instance) -> list[JudgeRequest]:
        correct = self._is_correct(instance) if self._settings.gold else None
        # With several processes lm_eval pads the last document with responses beyond `repeats`.
        return [
            JudgeRequest(
                question=self._question.of(instance.doc),
                response=response,
                criteria=self._criteria,
                dataset=self._dataset,
                id=f"{self.task_name}/{instance.doc_id}",
                correct=correct,
            )
            for response in instance.resps[: instance.repeats]
        ]

    def _is_correct(self, instance: Instance) -> bool | None:
        """Whether any of the task's filters finds the right answer, by its own exact_match.

        Returns:
            None for several responses to one problem, of which lm_eval judges a choice, and where
            the task has no exact_match.
        """
        if instance.repeats != 1:
            return None
        found = [
            super(JudgedTask, self).process_results(instance.doc, [filtered]).get(_EXACT_MATCH)
            for filtered in instance.filtered_resps.values()
        ]
        known = [value for value in found if value is not None]
        return any(known) if known else None


def _benchmark(own: Mapping[str, Any]) -> Benchmark | None:
    name = own.get("benchmark")
    if name is None:
        return None
    if str(name) not in BENCHMARKS:
        raise OptionError(one_of(str(name), BENCHMARKS, "benchmark"))
    return BENCHMARKS[str(name)]


def _require_responses(config: Mapping[str, Any]) -> None:
    """Refuse a task that generates nothing, before its data set is loaded."""
    output_type = config.get("output_type", "generate_until")
    if output_type != "generate_until":
        raise OptionError(
            f"Task {config.get('task')!r} has output_type {output_type}, so there is no response "
            "to judge; build on a task with output_type generate_until."
        )


def _text(own: dict[str, Any], key: str) -> str | None:
    """Take a key of ours out of a task's configuration."""
    value = own.pop(key, None)
    if value is not None and not isinstance(value, str):
        raise OptionError(f"Task {own.get('task')!r}: {key} must be text, not {value!r:.60}.")
    return value


def _judge_nested(
    judge: Judge,
    requests: Sequence[Sequence[JudgeRequest]],
    name: str,
    cache: JudgeCache | None,
) -> list[list[Judgement]]:
    """Judge the responses of each document, all in one batch.

    What has been generated is worth more than a judge: if it gives up, the requests that are left
    are unscored, with its reason.
    """
    flat = [request for of_document in requests for request in of_document]
    done: list[Judgement] = []
    try:
        judge_all(
            judge, flat, name=name, on_judged=lambda _, judged: done.extend(judged), cache=cache
        )
    # Whatever a judge raises, lm_eval's own results must not be lost to it.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        _LOG.error(
            "Judge %s gave up after %d of %d: %s",
            name,
            len(done),
            len(flat),
            plain(str(error)),
            exc_info=None if isinstance(error, InspectorError) else error,
        )
        reason = " ".join(str(error).split()) or type(error).__name__
        done += [unjudged(request, reason, scale=judge.scale) for request in flat[len(done) :]]
    following = iter(done)
    return [[next(following) for _ in of_document] for of_document in requests]

"""The task class: lm_eval's own task, with judges for its responses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import lm_eval.tasks
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from inspector_plugin.errors import DataError, InspectorError, OptionError
from inspector_plugin.harness import metrics
from inspector_plugin.harness.documents import (
    BENCHMARKS,
    Benchmark,
    processed_once,
    read_file,
    read_splits,
)
from inspector_plugin.harness.error_line import show_errors_in_one_line
from inspector_plugin.harness.judged import Comparison, JudgedResponses
from inspector_plugin.harness.settings import Settings
from inspector_plugin.harness.shared import shared_cache, shared_judge
from inspector_plugin.judge import Judge
from inspector_plugin.judging import judge_all
from inspector_plugin.schema import Judgement, JudgeRequest, Usage, total_usage, unjudged
from inspector_plugin.shipped import shipped_folder

_LOG = logging.getLogger(__name__)


class JudgedTask(ConfigurableTask):  # type: ignore[misc]
    """A generative task of lm_eval whose responses are judged when all are generated.

    A YAML file names this class under `class`, and has three keys of ours:

    - `base`: the task of lm_eval to inherit everything else from, as a path below `lm_eval/tasks`;
    - `benchmark`: the data set, a key of `documents.BENCHMARKS`;
    - `documents`: a JSONL file below `tasks/` to use as both splits, whatever `data` says.

    Judges and all else come from lm_eval's metadata, see `Settings`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """Check everything that can be checked before anything is generated.

        Raises:
            InspectorError: If a judge, an option or the data cannot be used.
        """
        show_errors_in_one_line()
        own = dict(config)
        self._settings = Settings.read(own.get("metadata") or {})
        self._judges = {
            name: shared_judge(spec, self._settings.defaults)
            for name, spec in self._settings.specs.items()
        }
        self._usages: dict[str, Usage] = {}
        self._dataset: str = own.pop("benchmark")
        self._benchmark: Benchmark = BENCHMARKS[self._dataset]
        self._documents: str | None = own.pop("documents", None)
        inherited = _inherit(own, self._settings.seed)
        if self._settings.split is not None:
            inherited["test_split"] = self._settings.split
        super().__init__(config=inherited)
        self._refuse_names_of_filters()

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Load the documents: our own, from the folder that `data` names, or from the hub.

        Raises:
            DataError: If they cannot be had.
        """
        if self._documents is not None:
            rows = read_file(shipped_folder("tasks") / self._documents, self._benchmark)
            self.dataset = dict.fromkeys(self._benchmark.files, rows)
        elif self._settings.data is not None:
            subset = self.DATASET_NAME or ""
            self.dataset = read_splits(self._settings.data, self._benchmark, subset)
        else:
            self._download_from_hub(dataset_kwargs, **kwargs)

    def apply_filters(self) -> list[Instance] | None:
        """Apply lm_eval's filters, then judge all responses in one batch for each judge."""
        filtered: list[Instance] | None = super().apply_filters()
        if "bypass" not in self._metric_fn_list:  # lm_eval --predict_only
            self._judge_instances(self._instances)
        return filtered

    def process_results(self, doc: Mapping[str, Any], results: list[Any]) -> dict[str, Any]:
        """Give the metrics of one document: ours in a judge's row, lm_eval's own in others."""
        if isinstance(results[0], JudgedResponses):
            return metrics.document_metrics(results[0], self._settings.aspects)
        inherited: dict[str, Any] = super().process_results(doc, results)
        return inherited

    def aggregation(self) -> dict[str, Any]:
        """Add our metrics' aggregations to lm_eval's."""
        settings = self._settings
        ours = metrics.aggregations(settings.aspects, settings.seed, settings.resamples)
        return {**super().aggregation(), **ours}

    def higher_is_better(self) -> dict[str, bool]:
        """Add our metrics to lm_eval's."""
        ours = metrics.higher_is_better(self._settings.aspects)
        return {**super().higher_is_better(), **ours}

    def dump_config(self) -> dict[str, Any]:
        """Write down in lm_eval's results what has judged, and what was judged."""
        config: dict[str, Any] = super().dump_config()
        settings = self._settings
        reference = None if settings.reference is None else settings.reference[0]
        config["metadata"] = {
            **config["metadata"],
            "inspector": {
                "judges": {
                    name: {"spec": str(spec), **self._judges[name].describe()}
                    for name, spec in settings.specs.items()
                },
                "usage": {name: usage.to_json() for name, usage in self._usages.items()},
                "reference": reference,
                "defaults": dict(settings.defaults),
                "aspects": list(settings.aspects),
                "dataset": self._dataset,
                "data": self._data_source(),
                "seed": settings.seed,
                "resamples": settings.resamples,
            },
        }
        return config

    def _refuse_names_of_filters(self) -> None:
        for name in self._judges:
            if any(each.name == name for each in self._filters):
                raise OptionError(
                    f"Judge {name!r} has the name of a filter of {self.task_name}; give it an "
                    f"option, as in {name}:key=value, so that its rows can be told apart."
                )

    def _download_from_hub(self, dataset_kwargs: dict[str, Any] | None, **kwargs: Any) -> None:
        try:
            # In memory, so that no shuffled order is cached on disk for later runs.
            super().download({**(dataset_kwargs or {}), "keep_in_memory": True}, **kwargs)
        except OSError as error:  # also no connection, and a data set that asks for a login
            reason = " ".join(str(error).split())
            raise DataError(
                f"Cannot load {self.DATASET_PATH} from the Hugging Face hub ({reason}); give a "
                'local folder with --metadata \'{"data": "FOLDER"}\' or INSPECTOR_DATA.'
            ) from error

    def _data_source(self) -> str:
        if self._documents is not None:
            return f"tasks/{self._documents}"
        return str(self._settings.data or f"hub: {self.DATASET_PATH}")

    def _judge_instances(self, instances: list[Instance]) -> None:
        requests = [self._requests(instance) for instance in instances]
        judged = {
            name: _judge_nested(judge, requests, f"{self.task_name}, {name}", self._settings.cache)
            for name, judge in self._judges.items()
        }
        for name, nested in judged.items():
            usage = total_usage(chain.from_iterable(nested))
            if usage is not None:
                self._usages[name] = usage
                _LOG.info("%s, %s: %s", self.task_name, name, usage)
        reference = self._settings.reference
        for index, instance in enumerate(instances):
            for name, judgements in judged.items():
                comparison = None
                if reference is not None and name != reference[0]:
                    comparison = Comparison(
                        question=requests[index][0].question,
                        judged=judgements[index],
                        reference=judged[reference[0]][index],
                        judge_scale=self._judges[name].scale,
                        reference_scale=self._judges[reference[0]].scale,
                    )
                instance.filtered_resps[name] = JudgedResponses(judgements[index], comparison)

    def _requests(self, instance: Instance) -> list[JudgeRequest]:
        # With several processes lm_eval pads the last document with responses beyond `repeats`.
        return [
            JudgeRequest(
                question=self._benchmark.question(instance.doc),
                response=response,
                aspects=self._settings.aspects,
                dataset=self._dataset,
                id=f"{self.task_name}/{instance.doc_id}",
            )
            for response in instance.resps[: instance.repeats]
        ]


def _inherit(own: dict[str, Any], seed: int) -> dict[str, Any]:
    """Complete our configuration by that of lm_eval's task."""
    base = Path(lm_eval.tasks.__file__).parent / own.pop("base")
    if not base.is_file():
        raise DataError(
            f"The installed lm_eval has no {base}, which {own['task']} builds on; install "
            "lm_eval 0.4.13."
        )
    own.pop("class", None)
    config: dict[str, Any] = {**load_yaml(base), **own}
    for key in ("tag", "group"):
        config.pop(key, None)
    if config.get("process_docs") is not None:
        config["process_docs"] = processed_once(config["process_docs"], seed)
    return config


def _judge_nested(
    judge: Judge, requests: list[list[JudgeRequest]], name: str, cached: bool
) -> list[list[Judgement]]:
    """Judge the responses of each document, all in one batch.

    What has been generated is worth more than a judge: if it gives up, the requests that are left
    are unscored, with its reason.
    """
    flat = [request for of_document in requests for request in of_document]
    done: list[Judgement] = []
    try:
        cache = shared_cache() if cached else None
        judge_all(
            judge, flat, name=name, on_judged=lambda _, judged: done.extend(judged), cache=cache
        )
    except InspectorError as error:
        _LOG.error("Judge %s gave up after %d of %d: %s", name, len(done), len(flat), error)
        done += [unjudged(request, str(error)) for request in flat[len(done) :]]
    following = iter(done)
    return [[next(following) for _ in of_document] for of_document in requests]

"""Testing a language model on a task of lm_eval: its own metrics, document by document."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inspector_plugin.data.problems import problem_identity
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.templates import has_template

# Where data, and the tasks of lm_eval that we know of, keep a problem.
QUESTION_FIELDS = ("question", "problem", "Question")


@dataclass(frozen=True)
class TaskTest:
    """A test by lm_eval.

    Attributes:
        task: The task, or a group of tasks.
        data: The folder to read the documents of our own tasks from; None for the hub.
        limit: The most documents of each task, from the first; None for all.
        fewshot: How many examples the prompts hold.
        max_tokens: The most tokens to write for each document.
        batch_size: How many responses are written at once.
        seed: Of the order of GPQA's options.
    """

    task: str
    data: str | None = None
    limit: int | None = None
    fewshot: int = 0
    max_tokens: int = 256
    batch_size: int = 16
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the batch size decides nothing."""
        return {key: value for key, value in asdict(self).items() if key != "batch_size"}

    def problems(self) -> frozenset[str]:
        """The identities of all problems of the test split; see `problem_identity`.

        Raises:
            DataError: If the task or its data cannot be had.
        """
        found = set()
        manager = self._manager()
        with _explained(self.task):
            for task in manager.load([self.task])["tasks"].values():
                for document in task.eval_docs:
                    texts = [task.doc_to_text(document)]
                    texts += [document.get(name) for name in QUESTION_FIELDS]
                    found |= {problem_identity(each) for each in texts if isinstance(each, str)}
        return frozenset(found)

    def run(self, language_model: LanguageModel) -> dict[str, dict[str, float]]:
        """Let lm_eval test a model; prompts are put through its chat template if it has one.

        Returns:
            By metric ("exact_match,strict-match") and document ("task/7") its value.

        Raises:
            DataError: If the task or its data cannot be had.
            OptionError: If the task has no metric that is a number for each document.
        """
        import lm_eval
        from lm_eval.models.huggingface import HFLM

        if language_model.tokenizer.pad_token is None:  # lm_eval pads prompts at their beginning
            language_model.tokenizer.pad_token = language_model.tokenizer.eos_token
        backend = HFLM(
            pretrained=language_model.model,
            tokenizer=language_model.tokenizer,
            backend="causal",
            batch_size=self.batch_size,
            device=str(language_model.device),
        )
        manager = self._manager()
        with _explained(self.task):
            results = lm_eval.simple_evaluate(
                model=backend,
                tasks=[self.task],
                num_fewshot=self.fewshot,
                limit=self.limit,
                gen_kwargs={"max_gen_toks": self.max_tokens},
                apply_chat_template=has_template(language_model),
                log_samples=True,
                bootstrap_iters=0,
                task_manager=manager,
            )
        values = metrics_by_document((results or {}).get("samples", {}))
        if not values:
            raise OptionError(
                f"--test {self.task}: it has no metric that is a number per document."
            )
        return values

    def _manager(self) -> Any:
        """Make lm_eval's index of tasks, which must know this one."""
        manager = _manager(self.data, self.seed)
        if self.task not in manager.task_index and not Path(self.task).is_file():
            raise DataError(
                f"--test {self.task}: lm_eval knows no such task; give one that `lm-eval ls tasks` "
                "lists, or a YAML file."
            )
        return manager


@functools.lru_cache(maxsize=1)
def _manager(data: str | None, seed: int) -> Any:
    """Make lm_eval's index of tasks, which takes seconds."""
    # Where Python does not read .pth files (python -S), our tasks would stay hidden.
    importlib.import_module("_inspector_lmeval_hook").install()
    from lm_eval.tasks import TaskManager

    metadata: dict[str, Any] = {"judge": [], "data": data, "seed": seed}
    return TaskManager(metadata={k: v for k, v in metadata.items() if v is not None})


def metrics_by_document(
    samples: Mapping[str, list[dict[str, Any]]],
) -> dict[str, dict[str, float]]:
    """Take the metrics of each document out of lm_eval's samples."""
    values: dict[str, dict[str, float]] = {}
    for task, of_task in samples.items():
        for sample in of_task:
            for metric in sample.get("metrics", ()):
                value = sample.get(metric)
                if isinstance(value, (bool, int, float)):
                    by_document = values.setdefault(f"{metric},{sample['filter']}", {})
                    by_document[f"{task}/{sample['doc_id']}"] = float(value)
    return values


@contextmanager
def _explained(task: str) -> Iterator[None]:
    """Say in one line that the data of a task is not to be had."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"--test {task}: its data cannot be had ({reason}).") from error

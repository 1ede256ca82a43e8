"""Batches of prompts of similar length, as large as memory allows."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from inspector_plugin.errors import JudgeError, ModelError, OptionError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import AUTO

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

# On a CPU, more tokens at once do not make a token cheaper, but fall out of its caches.
_FIRST_BUDGET = {"cpu": 1024, "cuda": 32768}
_SMALLEST_BUDGET = 16

_budgets: weakref.WeakKeyDictionary[LanguageModel, int]
_budgets = weakref.WeakKeyDictionary()


def parse_batch_size(value: str | int | None) -> int | None:
    """Read a batch size as users write it.

    Args:
        value: "auto" or the most prompts in a batch.

    Returns:
        The number; None for "auto".

    Raises:
        OptionError: If it is neither.
    """
    if value is None or value == AUTO:
        return None
    try:
        size = int(value)
    except ValueError:
        size = 0
    if size < 1:
        raise OptionError(f"batch_size takes auto or a whole number from 1 up, not {value!r}.")
    return size


def token_budget_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group prompts of similar length into batches of at most `budget` tokens, padding included.

    Args:
        lengths: Tokens in each prompt.
        budget: Most tokens in a batch; a longer prompt forms a batch of its own.

    Returns:
        Indices into `lengths`, the longest prompts first, so that a batch that does not fit into
        memory shows at once.
    """
    batches: list[list[int]] = []
    for index in longest_first(lengths):
        # The first prompt of a batch is its longest, and the others are padded to its length.
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Indices into `lengths`, the longest first, equal ones in their order."""
    return sorted(range(len(lengths)), key=lambda index: -lengths[index])


@dataclass(frozen=True)
class Fault:
    """Why a language model could not run one prompt.

    Attributes:
        reason: One line.
        transient: Whether another run, with more memory, may do better.
    """

    reason: str
    transient: bool = False


OnFault = Callable[[int, Fault], None]


class Breaker:
    """Ends a run in which one prompt after the other cannot be run."""

    def __init__(self, most: int = 32) -> None:
        """Begin.

        Args:
            most: How many in a row are too many.
        """
        self._most, self._in_a_row = most, 0

    def note(self, fault: Fault | None) -> None:
        """Take note of a prompt, in the order of the requests.

        Args:
            fault: Why it could not be run; None if it was.

        Raises:
            JudgeError: If it is the last of too many.
        """
        self._in_a_row = 0 if fault is None else self._in_a_row + 1
        if fault is not None and self._in_a_row >= self._most:
            raise JudgeError(f"{self._most} prompts in a row could not be run: {fault.reason}.")


def run_in_batches(
    language_model: LanguageModel,
    lengths: Sequence[int],
    batch_size: int | None,
    run: Callable[[list[int]], Result],
    on_fault: OnFault | None = None,
) -> Iterator[tuple[list[int], Result]]:
    """Run prompts in batches of similar length.

    With no batch size, a batch holds a budget of tokens. Where memory does not suffice for one, the
    budget is halved and what has not been run is batched anew; the model keeps that budget for the
    rest of the process. A batch size that is too large is halved for the rest of the call.

    Args:
        language_model: What runs them.
        lengths: Tokens in each prompt.
        batch_size: The most prompts in a batch; None for as many as fit.
        run: Runs the prompts of some indices.
        on_fault: Told the index of a prompt that alone does not fit into memory, and why; it is
            left out then. If None, such a prompt is an error.

    Yields:
        The indices of each batch, and what running it gave.

    Raises:
        ModelError: If a single prompt does not fit into memory, and nobody is to be told.
    """
    left = list(range(len(lengths)))
    while left:
        batches = [
            [left[place] for place in batch]
            for batch in _batches(language_model, [lengths[index] for index in left], batch_size)
        ]
        for batch in batches:
            try:
                result = run(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                _free_memory()
                if len(batch) == 1:
                    fault = _too_long(language_model, lengths[batch[0]])
                    if on_fault is None:
                        raise ModelError(f"A{fault.reason[1:]}; use a smaller model.") from error
                    on_fault(batch[0], fault)
                    left.remove(batch[0])
                    continue
                batch_size = _smaller(language_model, [lengths[i] for i in batch], batch_size)
                break
            done = set(batch)
            left = [index for index in left if index not in done]
            yield batch, result


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there was not enough memory, on a CPU or on CUDA."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error) or "out of memory" in str(error)
    )


def _batches(
    language_model: LanguageModel, lengths: Sequence[int], batch_size: int | None
) -> list[list[int]]:
    if batch_size is None:
        return token_budget_batches(lengths, _budget(language_model))
    order = longest_first(lengths)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _budget(language_model: LanguageModel) -> int:
    first = _FIRST_BUDGET.get(language_model.device.type, _FIRST_BUDGET["cpu"])
    return _budgets.setdefault(language_model, first)


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _too_long(language_model: LanguageModel, length: int) -> Fault:
    reason = (
        f"a prompt of {length} tokens does not fit into the memory of {language_model.device} "
        f"beside {language_model.name!r}"
    )
    return Fault(reason, transient=True)


def _smaller(
    language_model: LanguageModel, lengths: Sequence[int], batch_size: int | None
) -> int | None:
    """Halve what a batch may hold, after one of several prompts did not fit.

    Returns:
        The batch size from here on; None where the budget is what was halved.
    """
    if batch_size is not None:
        batch_size = len(lengths) // 2
        logger.warning("Out of memory: going on with at most %d prompts in a batch.", batch_size)
        return batch_size
    budget = max(_SMALLEST_BUDGET, len(lengths) * max(lengths) // 2)
    _budgets[language_model] = budget
    logger.warning("Out of memory: going on with at most %d tokens in a batch.", budget)
    return None

"""Many calls at a time for a caller that is not asynchronous: answers as soon as they are there."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from inspector_plugin.errors import JudgeError

# When a run stops, calls under way have so many seconds left: their answers are paid for.
GRACE = 15.0
_OBJECTS_BETWEEN_COLLECTIONS = 20_000

_Result = TypeVar("_Result")
_Answer = TypeVar("_Answer")
_Answers = Sequence[tuple[int, _Answer]]


class Stream(Generic[_Answer]):
    """Runs calls in an event loop of its own, which only runs while the caller waits for answers.

    The loop lives from one batch to the next, so that connections stay open.

    Attributes:
        stopped_by: The error that stops the present batch, if there is one.
    """

    def __init__(self, concurrency: int) -> None:
        """Take the most calls at once."""
        self.stopped_by: JudgeError | None = None
        self._concurrency = concurrency
        self._under_way: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()

    def answers(
        self,
        count: int,
        answer: Callable[[int], Awaitable[_Answers[_Answer]]],
        rest: Callable[[], _Answers[_Answer]],
    ) -> Generator[list[tuple[int, _Answer]], None, None]:
        """Answer so many questions.

        A call's place is only given to the next one once its answer has been dealt with: when the
        process dies, no more is lost than the calls under way.

        Args:
            count: How many questions there are.
            answer: Makes the calls of one question, by its position; returns the answers that are
                there by then, to this question or others.
            rest: Returns what was held back when all calls are made.

        Yields:
            Groups of answers, each with its position.

        Raises:
            JudgeError: The first that `answer` or `rest` raises, once the calls that were under
                way are finished and their answers handed over.
        """
        finished: list[tuple[int, _Answer, asyncio.Future[None]]] = []
        arrived = asyncio.Event()

        async def hand_over(answers: _Answers[_Answer]) -> None:
            dealt_with = [self._loop.create_future() for _ in answers]
            for (position, each), future in zip(answers, dealt_with, strict=True):
                finished.append((position, each, future))
            arrived.set()
            for future in dealt_with:
                await future

        run = self._loop.create_task(self._run(count, answer, rest, hand_over))
        run.add_done_callback(lambda _: arrived.set())
        with _rare_collections():
            try:
                while finished or not run.done():
                    self.run(arrived.wait())
                    arrived.clear()
                    group = finished.copy()
                    finished.clear()
                    yield [(position, each) for position, each, _ in group]
                    for _, _, dealt_with in group:
                        if not dealt_with.done():
                            dealt_with.set_result(None)
                run.result()
            finally:
                run.cancel()
                self.run(asyncio.wait([run]))

    def mark(self, *, under_way: bool) -> None:
        """Say whether the present task has begun a call, or waits for its turn to make one."""
        task = asyncio.current_task()
        assert task is not None
        if under_way:
            self._under_way.add(task)
        else:
            self._under_way.discard(task)

    def run(self, awaitable: Coroutine[Any, Any, _Result]) -> _Result:
        """Run the event loop; in another thread where this one runs a loop, as in a notebook."""
        if not _runs_a_loop():
            return self._loop.run_until_complete(awaitable)
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(self._loop.run_until_complete, awaitable).result()

    def close(self, closing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End the event loop after what closes the connections. Closing twice is allowed."""
        if not self._loop.is_closed():
            self.run(closing())
            self._loop.close()

    async def _run(
        self,
        count: int,
        answer: Callable[[int], Awaitable[_Answers[_Answer]]],
        rest: Callable[[], _Answers[_Answer]],
        hand_over: Callable[[_Answers[_Answer]], Awaitable[None]],
    ) -> None:
        positions = iter(range(count))
        self.stopped_by = None
        self._under_way.clear()

        async def work() -> None:
            for position in positions:
                try:
                    answers = await answer(position)
                except JudgeError as error:
                    self.stopped_by = self.stopped_by or error
                    return
                await hand_over(answers)
                if self.stopped_by is not None:
                    return

        tasks = {asyncio.ensure_future(work()) for _ in range(min(self._concurrency, count))}
        try:
            pending = tasks
            while pending and self.stopped_by is None:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            if self.stopped_by is not None:
                await self._finish(pending)
                raise self.stopped_by
            await hand_over(rest())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, tasks: set[asyncio.Task[None]]) -> None:
        """Wait for the calls under way, and give up what waits for its turn."""
        for task in tasks - self._under_way:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage less often: a call makes many objects, and hardly any in circles."""
    usual = gc.get_threshold()
    if usual[0] > 0:  # else the caller has switched it off
        gc.set_threshold(max(usual[0], _OBJECTS_BETWEEN_COLLECTIONS), *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""Whether a refusal is of its response or of every call: what the first calls have in common."""

from __future__ import annotations

import re

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.error_answers import ErrorAnswer
from inspector_plugin.judges.prompt.faults import RefusedCall, refused_key
from inspector_plugin.judges.prompt.keys import Key
from inspector_plugin.judges.prompt.messages import Refusal, Reply
from inspector_plugin.judges.prompt.options import PromptOptions

# So many refusals in the same words, or so many in any words, and no reply: it is not the response.
MOST_ALIKE, MOST_REFUSED = 3, 10
_COMPARED_CHARACTERS = 60
# Such as the number of a request, which differs from call to call.
_WITH_DIGITS = re.compile(r"\w*\d\w*")

Settled = list[tuple[int, Reply | Refusal]]


class FirstCalls:
    """Holds refusals back until it is known whose they are.

    Before a first reply, nothing tells the refusal of one response from that of a wrong key or an
    unknown parameter. After it, a refused call is refused for its response.

    Attributes:
        replied: Whether there has been a reply.
    """

    def __init__(self, options: PromptOptions, key: Key | None) -> None:
        """Take what messages name."""
        self.replied = False
        self._options = options
        self._key = key
        self._held: list[tuple[int, ErrorAnswer]] = []

    def forget_held(self) -> None:
        """Begin with further conversations."""
        self._held.clear()

    def settle(self, position: int, answer: Reply | Refusal | RefusedCall) -> Settled:
        """Take an answer in.

        Returns:
            The answers that can be handed over by now, this one or earlier ones among them.

        Raises:
            JudgeError: If every call is refused.
        """
        if isinstance(answer, Reply):
            self.replied = True
        if not isinstance(answer, RefusedCall):
            return [*(self._released() if self.replied else []), (position, answer)]
        self._held.append((position, answer.answer))
        if self.replied:
            return self._released()
        if len(self._held) >= MOST_ALIKE and (self._alike() or len(self._held) >= MOST_REFUSED):
            raise self._all_refused()
        return []

    def rest(self) -> Settled:
        """Hand over what is still held when all calls are made.

        Raises:
            JudgeError: If there were several calls, all refused in the same words.
        """
        if len(self._held) > 1 and self._alike():
            raise self._all_refused()
        return self._released()

    def _released(self) -> Settled:
        # Without any reply, it is not known what asking again would give.
        released: Settled = [
            (
                position,
                Refusal(
                    f"the endpoint refused the call ({answer.status}: {answer.said})",
                    transient=not self.replied,
                ),
            )
            for position, answer in self._held
        ]
        self._held.clear()
        return released

    def _alike(self) -> bool:
        return len({_signature(answer) for _, answer in self._held}) == 1

    def _all_refused(self) -> JudgeError:
        (_, answer), count = self._held[-1], len(self._held)
        self._held.clear()
        if answer.status == 403:
            return refused_key(answer, self._options, self._key)
        return JudgeError(
            f"{self._options.base_url} refused each of the first {count} calls ({answer.status}: "
            f"{answer.said}); check the options of the judge, and its key."
        )


def _signature(answer: ErrorAnswer) -> tuple[int, str]:
    words = " ".join(_WITH_DIGITS.sub("", answer.said).split())
    return answer.status, words[:_COMPARED_CHARACTERS]

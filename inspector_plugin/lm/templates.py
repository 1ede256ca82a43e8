"""Chat templates: programs that come with a model, and are run in a bounded way.

transformers runs them in Jinja's sandbox, where they can do no harm but never end.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel

SECONDS = 10.0
_MOST_CHARACTERS = 1_000_000
Chat = Sequence[Mapping[str, str]]


def has_template(language_model: LanguageModel) -> bool:
    """Whether a language model has a chat template."""
    return bool(language_model.tokenizer.chat_template)


def around_messages(language_model: LanguageModel, chat: Chat) -> list[str]:
    """Say what a model's chat template puts around the messages of a chat.

    Args:
        language_model: The model, which has a template.
        chat: Messages with `role` and `content`, in the order in which the template keeps them.

    Returns:
        What stands before each message's content, then what stands after the last one: one text
        more than there are messages.

    Raises:
        ModelError: If the template fails, does not end, or does not put each message's content
            into the prompt once and in its place.
    """
    places = [f"Message-{index}-Content" for index in range(len(chat))]
    stand_ins = [
        {"role": message["role"], "content": place}
        for message, place in zip(chat, places, strict=True)
    ]
    rest = _render(language_model, stand_ins)
    around = []
    for number, (message, place) in enumerate(zip(chat, places, strict=True), start=1):
        if rest.count(place) != 1:
            raise ModelError(
                f"The chat template of {language_model.name!r} does not put message {number} (of "
                f"the role {message['role']}) into the prompt once and in its place; give another "
                "model, or for lager chat=false."
            )
        before, _, rest = rest.partition(place)
        around.append(before)
    return [*around, rest]


def _render(language_model: LanguageModel, chat: Chat) -> str:
    """Run a template in a thread of its own, which is ended when its time is up."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(
                language_model.tokenizer.apply_chat_template(
                    chat, tokenize=False, add_generation_prompt=True
                )
            )
        except BaseException as error:  # noqa: BLE001 - whatever a program of others raises
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="chat template")
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        # The template is a Python program: an exception ends it, wherever it loops.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
        )
        raise _fault(language_model, f"has not ended after {SECONDS:.0f} s")
    if failed:
        reason = " ".join(str(failed[0]).split())[:200]
        raise _fault(language_model, f"fails ({type(failed[0]).__name__}: {reason})") from failed[0]
    if not isinstance(found[0], str) or len(found[0]) > _MOST_CHARACTERS:
        raise _fault(language_model, "makes no prompt of a sensible length")
    return found[0]


def _fault(language_model: LanguageModel, what: str) -> ModelError:
    return ModelError(
        f"The chat template of {language_model.name!r} {what}; give another model, or for lager "
        "chat=false."
    )

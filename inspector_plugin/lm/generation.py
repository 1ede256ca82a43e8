"""Generation in batches, with the log-probabilities of chosen tokens on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.batches import Fault
from inspector_plugin.lm.chats import fold_system
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.repetition import NoRepeats
from inspector_plugin.lm.templates import Chat, around_messages, has_template
from inspector_plugin.lm.tokens import text_ids
from inspector_plugin.progress import Progress


@dataclass(frozen=True)
class Generation:
    """What a language model wrote.

    Attributes:
        text: The text, without special tokens.
        completion_tokens: Number of tokens written, the end token included.
        cut: Whether it ended because of the limit of tokens.
        tokens: Text of each token and the natural log-probabilities of the candidates at its
            place, by the candidate's text; None if there were no candidates.
        is_finite: Whether the model's logits were numbers; else the text means nothing.
    """

    text: str
    completion_tokens: int
    tokens: tuple[tuple[str, Mapping[str, float]], ...] | None = None
    cut: bool = False
    is_finite: bool = True


@dataclass(frozen=True)
class Sampling:
    """How to draw tokens in place of taking the likeliest.

    Attributes:
        temperature: What logits are divided by, above 0.
        top_p: Draw from the likeliest tokens that together have this probability.
        seed: Seed of the draws of one batch.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


# A batch that is written within this time shows no bar of its own.
_SECONDS_UNTIL_A_BAR = 30.0
# Of a generation that is not finite.
NOT_FINITE = Fault("the language model gave logits that are not finite")


def encode_chat(language_model: LanguageModel, chat: Chat) -> list[int]:
    """Turn a chat into token ids by the model's chat template.

    The messages are tokenised apart from the template: a special token that a message spells out
    is read as ordinary characters. A model without a template reads the messages one after another;
    a template without a system role gets that text at the beginning of the user's message.

    Args:
        language_model: Whose tokenizer and template count.
        chat: Messages with `role` and `content`.

    Returns:
        The token ids, ending where the model's answer begins.

    Raises:
        ModelError: If the template fails, or drops a message.
    """
    tokenizer = language_model.tokenizer
    if not has_template(language_model):
        text = "\n\n".join(message["content"] for message in chat) + "\n\n"
        ids: list[int] = tokenizer(text, split_special_tokens=True, verbose=False).input_ids
        return ids
    try:
        *befores, after = around_messages(language_model, chat)
    except ModelError:
        folded = fold_system(chat)
        if len(folded) == len(chat):
            raise
        return encode_chat(language_model, folded)
    ids = []
    for message, before in zip(chat, befores, strict=True):
        ids += text_ids(tokenizer, before, trusted=True)
        ids += text_ids(tokenizer, message["content"], trusted=False)
    return ids + text_ids(tokenizer, after, trusted=True)


def candidate_ids(language_model: LanguageModel, texts: Sequence[str]) -> dict[int, str]:
    """Find the tokens that consist of one of the texts, white space around it aside.

    Returns:
        Token ids, each with the text that it spells.
    """
    tokenizer = language_model.tokenizer
    wanted = set(texts)
    spelled = tokenizer.batch_decode([[index] for index in range(len(tokenizer))])
    return {index: text for index, text in enumerate(spelled) if text.strip() in wanted}


def generate(
    language_model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    candidates: Mapping[int, str] | None = None,
    sampling: Sampling | None = None,
    no_repeats: int | None = None,
) -> list[Generation]:
    """Continue prompts, all in one batch.

    Args:
        language_model: The model.
        prompts: Token ids of each prompt, at least one.
        max_tokens: The most tokens to write for each.
        candidates: Tokens whose log-probabilities to record at every place.
        sampling: How to draw tokens; the likeliest each time if None.
        no_repeats: The length of the runs of tokens that a text must not hold twice, if any.

    Returns:
        One generation for each prompt, in order.
    """
    tokenizer, model = language_model.tokenizer, language_model.model
    end_ids = end_ids_of(language_model)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_ids[0]
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    recorder, checker = _Recorder(candidates or {}), _Checker()
    what = f"{len(prompts)} replies" if len(prompts) > 1 else "a reply"
    progress = Progress(max_tokens, f"Writing {what}", "token", delay=_SECONDS_UNTIL_A_BAR)
    processors: list[LogitsProcessor] = [checker, _Counter(progress)]
    processors += [recorder] if candidates else []
    if no_repeats is not None:
        processors.append(NoRepeats(no_repeats, width))
    drawn: dict[str, Any] = {"do_sample": False}
    if sampling is not None:
        drawn = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 0,
        }
    device = language_model.device
    # The draws are ours alone: nobody else's random numbers change.
    with (
        progress,
        torch.inference_mode(),
        torch.random.fork_rng(
            [device] if device.type == "cuda" else [], enabled=sampling is not None
        ),
    ):
        if sampling is not None:
            torch.manual_seed(sampling.seed)
        written = model.generate(
            input_ids=ids.to(language_model.device),
            attention_mask=mask.to(language_model.device),
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                **drawn,
                num_beams=1,
                repetition_penalty=1.0,
                max_new_tokens=max_tokens,
                eos_token_id=end_ids,
                pad_token_id=pad_id,
            ),
            logits_processor=LogitsProcessorList(processors),
        )
    rows = [_until_end(row, end_ids) for row in written[:, width:].tolist()]
    return [
        Generation(
            text=tokenizer.decode(row, skip_special_tokens=True),
            completion_tokens=len(row),
            tokens=recorder.tokens(tokenizer, row, index) if candidates else None,
            is_finite=checker.is_finite(len(row), index),
            cut=len(row) >= max_tokens and row[-1] not in end_ids,
        )
        for index, row in enumerate(rows)
    ]


class _Checker(LogitsProcessor):
    """Notes at every step which rows have logits that are no numbers, and changes nothing."""

    def __init__(self) -> None:
        self._steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._steps.append(torch.isnan(scores).any(dim=-1))
        return scores

    def is_finite(self, steps: int, row: int) -> bool:
        return not any(bool(step[row]) for step in self._steps[:steps])


class _Counter(LogitsProcessor):
    """Counts the steps for whoever waits, and changes nothing."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._progress.advance()
        return scores


class _Recorder(LogitsProcessor):
    """Notes the candidates' log-probabilities at every step, and changes nothing."""

    def __init__(self, candidates: Mapping[int, str]) -> None:
        self._texts = list(candidates.values())
        self._ids = list(candidates)
        self._steps: list[list[list[float]]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        logprobs = torch.log_softmax(scores.float(), dim=-1)[:, self._ids]
        self._steps.append(logprobs.tolist())
        return scores

    def tokens(
        self, tokenizer: Any, ids: Sequence[int], row: int
    ) -> tuple[tuple[str, Mapping[str, float]], ...]:
        texts = [
            tokenizer.decode(ids[:end], skip_special_tokens=True) for end in range(len(ids) + 1)
        ]
        found = []
        for step in range(len(ids)):
            logprobs = dict(zip(self._texts, self._steps[step][row], strict=True))
            found.append((texts[step + 1][len(texts[step]) :], logprobs))
        return tuple(found)


def end_ids_of(language_model: LanguageModel) -> list[int]:
    """The tokens that end an answer."""
    end = language_model.model.generation_config.eos_token_id
    if end is None:
        end = language_model.tokenizer.eos_token_id
    return [end] if isinstance(end, int) else list(end)


def _until_end(ids: list[int], end_ids: Sequence[int]) -> list[int]:
    ends = [place for place, token in enumerate(ids) if token in end_ids]
    return ids[: ends[0] + 1] if ends else ids

"""A tiny random encoder, and scored rows whose scores follow a rule that one word gives away."""

from __future__ import annotations

import json
import shutil
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

WORDS = (
    *("a", "crate", "of", "melons", "how", "many", "so", "then", "because", "and", "we", "count"),
    *("wrong", "maybe", "fine", "+", "*", "=", "?", ".", ","),
    *"0123456789",
)
# The word in a response that its score follows from.
TELLTALE = {1: "wrong", 2: "maybe", 3: "fine"}
SCALE = [1, 2, 3]
ENDING_SCALE = [0, 1]
CRITERIA = [
    {"key": "tone", "definition": "How sure the response sounds.", "scale": SCALE},
    {"key": "ending", "definition": "Whether the response says because.", "scale": ENDING_SCALE},
]


def write_encoder(folder: Path, max_positions: int = 64, seed: int = 0, **config: Any) -> Path:
    """Write a random BERT (2 layers, width 32) that reads whole words, and return its folder."""
    import tokenizers
    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"[]"]
    vocabulary = {name: number for number, name in enumerate(dict.fromkeys(names))}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.normalizer = tokenizers.normalizers.Lowercase()
    inner.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    inner.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_max_length=max_positions,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    sizes: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": max_positions,
    }
    torch.manual_seed(seed)
    model: Any = BertModel(BertConfig(**(sizes | config)))
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def without_padding_token(base: Path, out: Path) -> Path:
    """Copy a model, its padding token left out, and return the copy."""
    from transformers import AutoTokenizer

    shutil.copytree(base, out)
    for name in ("tokenizer_config.json", "special_tokens_map.json", "config.json"):
        path = out / name
        if path.exists():
            content = json.loads(path.read_text())
            for key in ("pad_token", "pad_token_id"):
                content.pop(key, None)
            path.write_text(json.dumps(content))
    assert AutoTokenizer.from_pretrained(out).pad_token is None
    return out


def scored_rows(problems: int = 36) -> list[dict[str, Any]]:
    """Rows on two criteria: every response has a score for the tone, every other one for both."""
    rows = []
    # Problems are told apart by their words in any order.
    digits = list(combinations_with_replacement("0123456789", 2))[:problems]
    for problem, (one, other) in enumerate(digits):
        question = f"how many melons {one} {other} ?"
        for score, word in TELLTALE.items():
            because = (problem // 2 + score) % 2
            ending = "because" if because else "and"
            response = f"so {problem % 7} then {word} . {ending} we count ."
            row = {"id": str(problem), "question": question, "response": response}
            rows.append({**row, "criterion": "tone", "score": score, "scale": SCALE})
            if problem % 2:
                rows.append({**row, "criterion": "ending", "score": because, "scale": ENDING_SCALE})
    return rows


def write_data(folder: Path, problems: int = 36) -> tuple[Path, Path]:
    """Write rows and criteria, and return the two files."""
    data, criteria = folder / "scored.jsonl", folder / "criteria.json"
    data.write_text("".join(json.dumps(row) + "\n" for row in scored_rows(problems)))
    criteria.write_text(json.dumps({"format_version": 1, "name": "tiny", "criteria": CRITERIA}))
    return data, criteria


def arguments(
    data: Path, criteria: Path, base: Path, out: Path, *more: str, kind: str = "encoder"
) -> list[str]:
    """The command line that tunes a base on the rows, in a few seconds."""
    return [
        *("tune", str(data), "--kind", kind, "--base", str(base), "--out", str(out)),
        *("--criteria", str(criteria), "--folds", "2", "--epochs", "12", "--patience", "12"),
        *("--learning-rate", "0.01", "--batch-size", "8", "--device", "cpu", *more),
    ]


def card_of(folder: Path) -> dict[str, Any]:
    """Read the card of a pack."""
    card: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return card

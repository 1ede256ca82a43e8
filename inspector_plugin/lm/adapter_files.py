"""Writing a LoRA adapter and what there is to say of it; `lm/adapters.py` reads them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.data.files import write_whole
from inspector_plugin.errors import ModelError
from inspector_plugin.lm.adapters import CARD, CONFIG, WEIGHTS, read_adapter_card
from inspector_plugin.lm.loading import LanguageModel


def write_adapter(model: Any, language_model: LanguageModel, base: str, out: Path) -> None:
    """Write the adapter to a folder that is there whole or not at all."""
    draft = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(parents=True, exist_ok=True)
        # PEFT names the folder that the model was read from; people use the name they know it by.
        model.peft_config["default"].base_model_name_or_path = base
        model.save_pretrained(
            draft,
            selected_adapters=["default"],
            safe_serialization=True,
            save_embedding_layers=False,  # else PEFT looks for the base model at the hub
        )
        card = {"base": base, "base_fingerprint": language_model.fingerprint}
        (draft / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        for path in draft.iterdir():
            if path.name not in (CONFIG, WEIGHTS, CARD):
                path.unlink()
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
    except OSError as error:
        raise ModelError(f"Cannot write the adapter {out}: {error}.") from error


def write_card(folder: Path, card: Mapping[str, Any], readme: str) -> None:
    """Add what there is to say of an adapter to the card that training wrote, and a README.

    Args:
        folder: The adapter's folder.
        card: What to add, as values that JSON can hold.
        readme: The same for people, in Markdown.

    Raises:
        ModelError: If they cannot be written.
    """
    content = {**read_adapter_card(folder), **card}
    try:
        write_whole(folder / CARD, (json.dumps(content, indent=2) + "\n").encode())
        write_whole(folder / "README.md", readme.encode("utf-8", "replace"))
    except OSError as error:
        raise ModelError(f"Cannot write the card of {folder}: {error}.") from error

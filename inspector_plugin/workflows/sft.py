"""Filter, fine-tune, test: does training on the responses that a judge prefers help?

One LoRA adapter is trained for each arm (`data.arms`), and tested beside the base model. The
published study is that of Li et al., arXiv 2601.22588, which compares the best fraction by total
score with a random one. We also give the worst and all, make the arms equal in rows and tokens,
and refuse rows whose problem is tested.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.data.arms import Arm, Arms
from inspector_plugin.data.files import read_json, write_whole
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.errors import DataError
from inspector_plugin.lm.adapter_files import write_card
from inspector_plugin.lm.adapters import WEIGHTS, read_adapter_card
from inspector_plugin.lm.lora import train_supervised
from inspector_plugin.workflows.sft_data import Trained
from inspector_plugin.workflows.sft_plan import SftPlan

BASE = "base"
_REMEDY = "pass --overwrite to begin anew, or give another --out"
_ROWS = "rows.jsonl"


class Study:
    """The folder of a study: an adapter for each arm, and what tests have found."""

    def __init__(self, out: Path, plan: SftPlan, data: Trained, arms: Arms) -> None:
        """Name the folder, and what makes it."""
        self.out, self._plan, self._data, self._arms = out, plan, data, arms
        self._made_by = {
            "inspector_plugin": __version__,
            "plan": plan.to_json(),
            "base_fingerprint": data.base_fingerprint,  # other weights may come by the same name
            "rows": {name: self._digest(arm) for name, arm in arms.arms.items()},
        }

    def open(self, overwrite: bool) -> None:
        """Make the folder ready; finished arms of the same run are kept.

        Raises:
            DataError: If another run made it, or it cannot be written.
        """
        path = self.out / "run.json"
        try:
            if overwrite and path.exists():
                shutil.rmtree(self.out)
            if path.exists():
                self._require_same(read_json(path))
                return
            if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
                raise DataError(f"{self.out} is there already and no study: give another --out.")
            self.out.mkdir(parents=True, exist_ok=True)
            write_whole(path, (json.dumps(self._made_by, indent=2) + "\n").encode())
        except (OSError, ValueError) as error:
            raise DataError(f"Cannot use {self.out}: {error}.") from error

    def train(self, name: str, judged_by: Mapping[str, Any]) -> bool:
        """Train the adapter of an arm, unless it is there.

        Args:
            name: The arm.
            judged_by: What the card says of the scores.

        Returns:
            Whether it was trained now.
        """
        folder = self.adapter(name)
        if folder.is_dir() and "arm" in read_adapter_card(folder):
            return False
        arm, plan = self._arms.arms[name], self._plan
        training = train_supervised(
            plan.base,
            [self._data.examples[row] for row in arm.shown],
            folder,
            plan.settings,
            device=plan.device,
            dtype=plan.dtype,
        )
        self._write_rows(folder, arm)
        described = {
            "arm": name,
            "rows": len(arm.rows),
            "shown": len(arm.shown),
            "tokens": arm.tokens,
            "bands": self._arms.bands,
            "scores": judged_by,
            "plan": plan.to_json(),
            "training": training.to_json(),
        }
        write_card(folder, described, _readme(described))
        return True

    def adapter(self, name: str) -> Path:
        """The folder of an arm's adapter."""
        return self.out / name

    def stored_test(self, name: str, kind: str, settings: Mapping[str, Any]) -> Any | None:
        """What an earlier run has found in a test of an arm; None if it has not.

        Args:
            name: The arm, or `BASE`.
            kind: Which test.
            settings: What decides its outcome.
        """
        try:
            content = read_json(self._test_file(name, kind))
            same = content["made_by"] == json.loads(json.dumps(self._test_made_by(name, settings)))
            return content["found"] if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store_test(self, name: str, kind: str, settings: Mapping[str, Any], found: Any) -> None:
        """Keep what a test of an arm has found.

        Raises:
            DataError: If it cannot be written.
        """
        content = {"made_by": self._test_made_by(name, settings), "found": found}
        path = self._test_file(name, kind)
        try:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, (json.dumps(content) + "\n").encode())
        except OSError as error:
            raise DataError(f"Cannot write {path}: {error}.") from error

    def _test_file(self, name: str, kind: str) -> Path:
        return self.out / "tests" / f"{name}.{kind}.json"

    def _test_made_by(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        adapter = None if name == BASE else file_sha256(self.adapter(name) / WEIGHTS)
        return {**settings, "adapter": adapter}

    def _write_rows(self, folder: Path, arm: Arm) -> None:
        responses = [self._data.responses[row] for row in arm.rows]
        lines = [
            json.dumps({"question": r.question, "response": r.text, "score": r.score}) + "\n"
            for r in responses
        ]
        try:
            write_whole(folder / _ROWS, "".join(lines).encode())
        except OSError as error:
            raise DataError(f"Cannot write {folder / _ROWS}: {error}.") from error

    def _digest(self, arm: Arm) -> str:
        examples = [self._data.examples[row] for row in arm.shown]
        return hashlib.sha256(json.dumps([asdict(each) for each in examples]).encode()).hexdigest()

    def _require_same(self, before: Any) -> None:
        wanted = json.loads(json.dumps(self._made_by))
        if before == wanted:
            return
        known = before if isinstance(before, dict) else {}
        plans = [each.get("plan") or {} for each in (known, wanted)]
        differing = [key for key in plans[1] if plans[0].get(key) != plans[1][key]]
        others = ("inspector_plugin", "base_fingerprint", "rows")
        differing += [key for key in others if known.get(key) != wanted[key]]
        raise DataError(
            f"{self.out} comes from another run (other {', '.join(differing)}): {_REMEDY}."
        )


def _readme(card: Mapping[str, Any]) -> str:
    plan, training = card["plan"], card["training"]
    first, last = training["losses"][0], training["losses"][-1]
    return (
        f"# The arm `{card['arm']}` of a fine-tuning study\n\n"
        f"A LoRA adapter for `{plan['base']}`, made by `inspector sft`: {card['rows']} rows, shown "
        f"{card['shown']} times in all, {card['tokens']} tokens to learn. Scores: "
        f"{json.dumps(card['scores'])}. The loss went from {first:.3f} to {last:.3f}. `rows.jsonl` "
        "holds the rows. What it is worth on a test stands in figures.json of the study.\n"
    )

"""Replies of generators on disk, so that an interrupted run pays for none of them twice."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspector_plugin.judges.prompt.messages import Conversation, Reply
from inspector_plugin.judging.cache import cache_path
from inspector_plugin.judging.store import Store
from inspector_plugin.schema.usage import Usage


def store_path() -> Path:
    """Where the replies are: beside the judge cache."""
    return cache_path().with_name("replies.sqlite")


class ReplyStore(Store):
    """Replies, found again by what was asked and of whom."""

    name = "the stored replies"
    without = "run with --no-cache"
    table = "replies"
    columns = "created REAL NOT NULL, text TEXT NOT NULL, cut INTEGER NOT NULL"

    def __init__(self, path: Path | None = None) -> None:
        """Open the store, making it if there is none.

        Args:
            path: The file; `store_path()` if None.

        Raises:
            DataError: If it cannot be opened.
        """
        super().__init__(path or store_path())

    def keys(self, described: Mapping[str, Any], asked: Sequence[Conversation]) -> list[str]:
        """Name conversations by everything that determines the reply.

        Args:
            described: What the source says of itself.
            asked: The conversations.
        """
        start = hashlib.sha256(json.dumps(dict(described), sort_keys=True).encode())
        keys = []
        for conversation in asked:
            digest = start.copy()
            said = [message.to_json() for message in conversation.messages]
            asked_for = [said, conversation.schema, conversation.beginning]
            digest.update(json.dumps(asked_for).encode())
            keys.append(digest.hexdigest())
        return keys

    def get(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Look replies up; return those found, at no cost."""
        return {
            key: Reply(text, Usage(reused=1), cut=bool(cut))
            for key, text, cut in self._rows("key, text, cut", keys)
            if isinstance(text, str)  # anything else is damage
        }

    def put(self, replies: Sequence[tuple[str, Reply]]) -> None:
        """Keep replies; they are on disk when this returns."""
        now = time.time()
        self._put([(key, now, reply.text, int(reply.cut)) for key, reply in replies])

    def count(self) -> int:
        """Count the replies."""
        with self._explained():
            return int(self._database.execute("SELECT COUNT(*) FROM replies").fetchone()[0])

    def clear(self) -> int:
        """Forget all replies; return how many there were."""
        return self._delete()

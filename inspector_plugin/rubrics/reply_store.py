"""Replies of generators on disk, so that an interrupted run pays for none of them twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inspector_plugin.errors import DataError
from inspector_plugin.judges.prompt.messages import Conversation, Reply
from inspector_plugin.judging.cache import cache_path
from inspector_plugin.schema.usage import Usage

_BUSY_SECONDS = 60.0
_KEYS_AT_ONCE = 500
_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, created REAL NOT NULL, text TEXT NOT NULL, cut INTEGER NOT NULL
) WITHOUT ROWID
"""


def store_path() -> Path:
    """Where the replies are: beside the judge cache."""
    return cache_path().with_name("replies.sqlite")


class ReplyStore:
    """Replies, found again by what was asked and of whom."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the store, making it if there is none.

        Args:
            path: The file; `store_path()` if None.

        Raises:
            DataError: If it cannot be opened.
        """
        self.path = path or store_path()
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            self._database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(_TABLE)

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
        found: dict[str, Reply] = {}
        with self._explained():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, text, cut FROM replies WHERE key IN ({marks})"
                for key, text, cut in self._database.execute(query, some):
                    found[key] = Reply(text, Usage(reused=1), cut=bool(cut))
        return found

    def put(self, replies: Sequence[tuple[str, Reply]]) -> None:
        """Keep replies; they are on disk when this returns."""
        rows = [(key, time.time(), reply.text, int(reply.cut)) for key, reply in replies]
        with self._explained(), self._database:
            self._database.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", rows)

    def count(self) -> int:
        """Count the replies."""
        with self._explained():
            return int(self._database.execute("SELECT COUNT(*) FROM replies").fetchone()[0])

    def clear(self) -> int:
        """Forget all replies; return how many there were."""
        with self._explained():
            count = self._database.execute("DELETE FROM replies WHERE TRUE").rowcount
            self._database.commit()
        return int(count)

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._database.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise DataError(
                f"Cannot use the stored replies {self.path}: {error}. Set INSPECTOR_CACHE_DIR to "
                "another folder, delete the file, or run with --no-cache."
            ) from error

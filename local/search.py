"""What was said in all transcripts, in one SQLite file with full-text search."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from chalicelib.indexing import MOST_FOLLOWING, holding, reaching
from chalicelib.jobs import Job
from chalicelib.ports import Found, Passage, Pieces, UnknownCursor
from chalicelib.terms import Phrase, terms
from local.database import Database

# A file of another version is made anew.
VERSION = 4
SCHEMA = (
    """CREATE TABLE files (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        job TEXT NOT NULL,
        n INTEGER NOT NULL,
        UNIQUE (job, n)
    )""",
    # `words` are those of a passage and what is said soon after it. They and what is asked for are made of the same
    # terms, which this tokenizer leaves whole but for a few, such as that of ½: so `find` looks at the text as well.
    """CREATE VIRTUAL TABLE passages USING fts5(
        owner, words, pieces UNINDEXED, tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
    )""",
    "CREATE TABLE filled (yes INTEGER)",
    f"PRAGMA user_version = {VERSION}",
)
# The rowids of a file's passages, falling as time goes on, so that the newest file's first passage has the highest.
MOST_PASSAGES = 2**20
# So many of them `find` looks at; those are left out that have what is wanted from the following ones alone.
MOST_ROWS = 1000


class SQLiteIndex:
    """`chalicelib.ports.Index` in the file `path`. A file keeps its place in the order when it is put again.

    It can be made again, so that a power cut may take the last of it: no fsync for each commit.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, "NORMAL")
        with self._database.transaction() as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version != VERSION:
                for table in ("files", "passages", "filled"):
                    database.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in SCHEMA:
                    database.execute(statement)

    @property
    def filled(self) -> bool:
        """Whether it has all transcripts, also those made before it was."""
        (found,) = self._database.connection().execute("SELECT count(*) FROM filled").fetchone()
        return bool(found)

    def set_filled(self) -> None:
        with self._database.transaction() as database:
            database.execute("INSERT INTO filled VALUES (1)")

    def put(self, job: Job, n: int, said: Sequence[Pieces]) -> None:
        owner = _as_word(job.owner)
        kept = said[: MOST_PASSAGES - MOST_FOLLOWING]  # so that none of another file comes near after the last one
        with self._database.transaction() as database:
            database.execute("INSERT OR IGNORE INTO files (job, n) VALUES (?, ?)", (job.id, n))
            ((place,),) = database.execute("SELECT place FROM files WHERE job = ? AND n = ?", (job.id, n))
            _delete(database, place)
            database.executemany(
                "INSERT INTO passages (rowid, owner, words, pieces) VALUES (?, ?, ?, ?)",
                (
                    (
                        _rowid(place, number),
                        owner,
                        _words(pieces, kept[number + 1 : number + 1 + MOST_FOLLOWING]),
                        json.dumps(pieces, ensure_ascii=False),
                    )
                    for number, pieces in enumerate(kept)
                ),
            )

    def remove(self, job: str) -> None:
        with self._database.transaction() as database:
            for (place,) in database.execute("SELECT place FROM files WHERE job = ?", (job,)).fetchall():
                _delete(database, place)
            database.execute("DELETE FROM files WHERE job = ?", (job,))

    def find(self, owner: str, wanted: Sequence[Phrase], limit: int, after: str | None = None) -> Found:
        before = _rowid(2**42, 0) if after is None else _number(after)
        phrases = " AND ".join(f'"{" ".join(phrase)}"' for phrase in wanted)
        database = self._database.connection()
        rows = database.execute(
            "SELECT passages.rowid, job, n, pieces FROM passages JOIN files ON place = passages.rowid / ? "
            "WHERE passages MATCH ? AND passages.rowid < ? ORDER BY passages.rowid DESC LIMIT ?",
            (MOST_PASSAGES, f"owner : {_as_word(owner)} AND words : ({phrases})", before, MOST_ROWS),
        )
        found: list[Passage] = []
        looked_at = 0
        with contextlib.closing(rows):
            for rowid, job, n, pieces in rows:
                if len(found) == limit:
                    return Found(found, str(before))
                if passage := holding(Passage(job, n, _pieces(pieces)), _following(database, rowid), wanted):
                    found.append(passage)
                before = rowid
                looked_at += 1
        return Found(found, str(before) if looked_at == MOST_ROWS else None)


def _rowid(place: int, number: int) -> int:
    return place * MOST_PASSAGES + MOST_PASSAGES - 1 - number


def _delete(database: sqlite3.Connection, place: int) -> None:
    last, first = _rowid(place, 0), _rowid(place, MOST_PASSAGES - 1)
    database.execute("DELETE FROM passages WHERE rowid BETWEEN ? AND ?", (first, last))


def _following(database: sqlite3.Connection, rowid: int) -> Iterator[Pieces]:
    """The passages after one, in the order of time; read when the first is asked for."""
    rows = database.execute(
        "SELECT pieces FROM passages WHERE rowid BETWEEN ? AND ? ORDER BY rowid DESC",
        (rowid - MOST_FOLLOWING, rowid - 1),
    )
    yield from (_pieces(pieces) for (pieces,) in rows.fetchall())


def _words(pieces: Pieces, following: Sequence[Pieces]) -> str:
    return " ".join(term.text for term in terms("".join(text for _, text in reaching(pieces, following))))


def _pieces(recorded: str) -> Pieces:
    return [(at, text) for at, text in json.loads(recorded)]


def _as_word(owner: str) -> str:
    """One word of the index, different for every owner."""
    return f"o{owner.encode().hex()}"


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise UnknownCursor(cursor)
    return int(cursor)

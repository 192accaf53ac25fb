"""The tables of the records in SQLite, and how those of earlier versions come to be so."""

from local.database import Database

# Each row is a document; what is searched for is a column generated from it, so that there is one truth only.
# Migration n takes the schema from version n to n + 1 (`PRAGMA user_version`). Append, never change.
MIGRATIONS = (
    (
        """CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            document TEXT NOT NULL,
            owner TEXT AS (json_extract(document, '$.owner')),
            state TEXT AS (json_extract(document, '$.state'))
        ) WITHOUT ROWID""",
        "CREATE INDEX jobs_of_owner ON jobs (owner, id)",
        "CREATE INDEX jobs_in_state ON jobs (state)",
        """CREATE TABLE files (
            job TEXT NOT NULL,
            n INTEGER NOT NULL,
            document TEXT NOT NULL,
            path TEXT AS (json_extract(document, '$.path')),
            PRIMARY KEY (job, n)
        ) WITHOUT ROWID""",
        "CREATE UNIQUE INDEX files_by_path ON files (job, path)",
        "CREATE TABLE tokens (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        "ALTER TABLE files ADD COLUMN state TEXT AS (json_extract(document, '$.state'))",
        "CREATE INDEX files_in_state ON files (job, state, n)",
        "CREATE TABLE deletions (job TEXT PRIMARY KEY, due INTEGER NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE INDEX deletions_by_time ON deletions (due)",
    ),
    (
        """CREATE TABLE labels (
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            PRIMARY KEY (owner, name, value, job)
        ) WITHOUT ROWID""",
        "CREATE INDEX labels_of_job ON labels (job)",
        "CREATE TABLE claims (id TEXT PRIMARY KEY, document TEXT NOT NULL, expires_at REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX claims_by_time ON claims (expires_at)",
    ),
    (
        """CREATE TABLE counters (
            key TEXT NOT NULL,
            name TEXT NOT NULL,
            amount REAL NOT NULL,
            expires_at REAL NOT NULL,
            PRIMARY KEY (key, name)
        ) WITHOUT ROWID""",
        """CREATE TABLE deliveries (
            id TEXT PRIMARY KEY,
            job TEXT NOT NULL,
            since REAL NOT NULL,
            due REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID""",
    ),
)


class NewerRecords(Exception):
    """The file was written by a later version of this program."""


def migrate(records: Database) -> None:
    """Takes the schema to this version. Raises NewerRecords."""
    with records.transaction() as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise NewerRecords(
                f"{records.path} was written by a newer version of this program (its schema is {version}, and this "
                f"version knows {len(MIGRATIONS)}). Install the newer version again or choose another folder."
            )
        for migration in MIGRATIONS[version:]:
            for statement in migration:
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

"""The migrations that create the tables.

A migration is a tuple of statements. The database's ``user_version`` counts the migrations that were applied,
so never edit a released migration. To change the tables, add a tuple at the end of `MIGRATIONS`.

`seq` orders and joins the rows of one database. It is also their rowid in the full-text indexes `tool_search`
and `execution_search`. `id` is unique across all databases.
"""

from __future__ import annotations

from fact_magics.store.totals import TABLES_OF_TOTALS

# The ASCII codes of "FACT", which mark our databases.
APPLICATION_ID = 0x46414354

_SESSIONS = (
    """
    CREATE TABLE sessions (
        id         TEXT PRIMARY KEY NOT NULL,
        notebook   TEXT NOT NULL,
        kernel     TEXT NOT NULL,
        python     TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at   TEXT
    ) WITHOUT ROWID
    """,
    "CREATE INDEX sessions_by_time ON sessions (started_at)",
)

_TOOLS = (
    """
    CREATE TABLE tools (
        seq          INTEGER PRIMARY KEY,
        id           TEXT NOT NULL UNIQUE,
        name         TEXT NOT NULL,
        version      TEXT NOT NULL,
        major        INTEGER NOT NULL,
        minor        INTEGER NOT NULL,
        patch        INTEGER NOT NULL,
        source       TEXT NOT NULL,
        signature_id TEXT NOT NULL,
        description  TEXT NOT NULL,
        contract     TEXT NOT NULL,
        permissions  TEXT NOT NULL,
        tags         TEXT NOT NULL,
        provider     TEXT NOT NULL,
        model        TEXT NOT NULL,
        proven       INTEGER NOT NULL,
        varies       INTEGER NOT NULL,
        request_hash TEXT NOT NULL,
        session_id   TEXT REFERENCES sessions (id),
        created_at   TEXT NOT NULL,
        removed_at   TEXT,
        UNIQUE (name, major, minor, patch)
    )
    """,
    "CREATE INDEX tools_by_request ON tools (request_hash) WHERE removed_at IS NULL",
    """
    CREATE TABLE toolbox (
        seq        INTEGER PRIMARY KEY,
        name       TEXT NOT NULL UNIQUE,
        tool_id    TEXT NOT NULL REFERENCES tools (id),
        updated_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX toolbox_by_time ON toolbox (updated_at)",
    """
    CREATE TABLE session_pins (
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        name       TEXT NOT NULL,
        tool_id    TEXT NOT NULL REFERENCES tools (id),
        PRIMARY KEY (session_id, name)
    ) WITHOUT ROWID
    """,
    "CREATE VIRTUAL TABLE tool_search USING fts5(name, description, tags, tokenize = 'porter unicode61')",
)

_GENERATIONS = (
    """
    CREATE TABLE generations (
        seq                   INTEGER PRIMARY KEY,
        generation_id         TEXT NOT NULL,
        attempt               INTEGER NOT NULL,
        session_id            TEXT REFERENCES sessions (id),
        tool_name             TEXT NOT NULL,
        request_hash          TEXT NOT NULL,
        description           TEXT NOT NULL,
        contract              TEXT NOT NULL,
        permissions           TEXT NOT NULL,
        provider              TEXT NOT NULL,
        model                 TEXT NOT NULL,
        status                TEXT NOT NULL,
        reason                TEXT NOT NULL,
        text                  TEXT NOT NULL,
        source                TEXT NOT NULL,
        input_tokens          INTEGER,
        output_tokens         INTEGER,
        cache_read_tokens     INTEGER,
        cache_creation_tokens INTEGER,
        cost_usd              REAL,
        started_at            TEXT NOT NULL,
        duration_ms           REAL NOT NULL,
        tool_id               TEXT REFERENCES tools (id),
        UNIQUE (generation_id, attempt)
    )
    """,
    "CREATE INDEX generations_by_time ON generations (started_at)",
    "CREATE INDEX generations_by_session ON generations (session_id, started_at)",
    "CREATE INDEX generations_by_name ON generations (tool_name, started_at)",
    "CREATE INDEX generations_by_session_and_name ON generations (session_id, tool_name, started_at)",
    "CREATE INDEX generations_by_tool ON generations (tool_id) WHERE tool_id IS NOT NULL",
    "CREATE INDEX generations_that_failed ON generations (status, started_at) WHERE status <> 'ok'",
)

# One index for each filter of the history, each ordered by time. The last three indexes contain only
# failures, so they cost successful runs nothing. Nearly all runs succeed, so the other indexes find successes
# quickly.
_EXECUTIONS = (
    """
    CREATE TABLE tool_executions (
        seq          INTEGER PRIMARY KEY,
        id           TEXT NOT NULL UNIQUE,
        session_id   TEXT REFERENCES sessions (id),
        tool_id      TEXT REFERENCES tools (id),
        tool_name    TEXT NOT NULL,
        tool_version TEXT,
        input_data   TEXT,
        output_data  TEXT,
        status       TEXT NOT NULL,
        error        TEXT,
        details      TEXT,
        printed      TEXT NOT NULL,
        cached       INTEGER NOT NULL,
        cache_key    TEXT,
        isolation    TEXT NOT NULL,
        duration_ms  REAL NOT NULL,
        executed_at  TEXT NOT NULL
    )
    """,
    "CREATE INDEX executions_by_time ON tool_executions (executed_at)",
    "CREATE INDEX executions_by_session ON tool_executions (session_id, executed_at)",
    "CREATE INDEX executions_by_name ON tool_executions (tool_name, executed_at)",
    "CREATE INDEX executions_by_tool ON tool_executions (tool_id, executed_at)",
    "CREATE INDEX executions_by_session_and_name ON tool_executions (session_id, tool_name, executed_at)",
    "CREATE INDEX executions_that_failed ON tool_executions (status, executed_at) WHERE status <> 'ok'",
    """
    CREATE INDEX executions_that_failed_by_session ON tool_executions (session_id, status, executed_at)
    WHERE status <> 'ok'
    """,
    """
    CREATE INDEX executions_that_failed_by_name ON tool_executions (tool_name, status, executed_at)
    WHERE status <> 'ok'
    """,
    "CREATE VIRTUAL TABLE execution_search USING fts5(input, output, notes, tokenize = 'unicode61')",
)

# Triggers update the totals, so that the totals stay correct no matter which statement changes a row.
_CACHE = (
    """
    CREATE TABLE cache (
        key           TEXT PRIMARY KEY NOT NULL,
        tool_id       TEXT NOT NULL REFERENCES tools (id),
        result        BLOB NOT NULL,
        result_hash   TEXT NOT NULL,
        printed       TEXT NOT NULL,
        duration_ms   REAL NOT NULL,
        created_at    TEXT NOT NULL,
        expires_at    TEXT,
        confirmations INTEGER NOT NULL,
        size          INTEGER NOT NULL,
        used_at       TEXT NOT NULL
    )
    """,
    "CREATE INDEX cache_by_use ON cache (used_at)",
    "CREATE INDEX cache_by_expiry ON cache (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX cache_by_tool ON cache (tool_id)",
    """
    CREATE TABLE cache_total (
        one     INTEGER PRIMARY KEY CHECK (one = 1),
        entries INTEGER NOT NULL,
        bytes   INTEGER NOT NULL
    )
    """,
    "INSERT INTO cache_total VALUES (1, 0, 0)",
    """
    CREATE TRIGGER cache_grows AFTER INSERT ON cache BEGIN
        UPDATE cache_total SET entries = entries + 1, bytes = bytes + new.size;
    END
    """,
    """
    CREATE TRIGGER cache_shrinks AFTER DELETE ON cache BEGIN
        UPDATE cache_total SET entries = entries - 1, bytes = bytes - old.size;
    END
    """,
    """
    CREATE TRIGGER cache_changes AFTER UPDATE OF size ON cache BEGIN
        UPDATE cache_total SET bytes = bytes + new.size - old.size;
    END
    """,
)

INITIAL = (*_SESSIONS, *_TOOLS, *_GENERATIONS, *_EXECUTIONS, *_CACHE)

# The permissions of a run, as JSON. Runs before this migration had the permissions of their tool.
_PERMISSIONS_OF_RUNS = (
    "ALTER TABLE tool_executions ADD COLUMN permissions TEXT NOT NULL DEFAULT '[]'",
    """
    UPDATE tool_executions SET permissions = (SELECT permissions FROM tools WHERE id = tool_id)
    WHERE tool_id IN (SELECT id FROM tools WHERE permissions <> '[]') AND status <> 'invalid'
    """,
)

# The history is read in the order of insertion, which does not change when a clock is set back. SQLite ends
# each entry of an index with the row's `seq`.
_ORDER_OF_INSERTION = (
    # Before, a tool that became current again kept its place, and only its time changed.
    """
    CREATE TEMP TABLE listed AS
    SELECT toolbox.name AS tool, tool_id, updated_at, words.name, words.description, words.tags
    FROM toolbox LEFT JOIN tool_search AS words ON words.rowid = toolbox.seq
    ORDER BY toolbox.updated_at, toolbox.seq
    """,
    "DELETE FROM toolbox",
    "DELETE FROM tool_search",
    """
    INSERT INTO toolbox (seq, name, tool_id, updated_at) SELECT rowid, tool, tool_id, updated_at FROM listed
    """,
    """
    INSERT INTO tool_search (rowid, name, description, tags)
    SELECT rowid, name, description, tags FROM listed WHERE name IS NOT NULL
    """,
    "DROP TABLE temp.listed",
    *(
        f"DROP INDEX {name}"
        for name in (
            "toolbox_by_time",
            "generations_by_session",
            "generations_by_name",
            "generations_by_session_and_name",
            "generations_that_failed",
            "executions_by_session",
            "executions_by_name",
            "executions_by_tool",
            "executions_by_session_and_name",
            "executions_that_failed",
            "executions_that_failed_by_session",
            "executions_that_failed_by_name",
        )
    ),
    "CREATE INDEX generations_by_session ON generations (session_id)",
    "CREATE INDEX generations_by_name ON generations (tool_name)",
    "CREATE INDEX generations_by_session_and_name ON generations (session_id, tool_name)",
    "CREATE INDEX generations_that_failed ON generations (status) WHERE status <> 'ok'",
    "CREATE INDEX executions_by_session ON tool_executions (session_id)",
    "CREATE INDEX executions_by_name ON tool_executions (tool_name)",
    "CREATE INDEX executions_by_tool ON tool_executions (tool_id)",
    "CREATE INDEX executions_by_session_and_name ON tool_executions (session_id, tool_name)",
    "CREATE INDEX executions_that_failed ON tool_executions (status) WHERE status <> 'ok'",
    """
    CREATE INDEX executions_that_failed_by_session ON tool_executions (session_id, status)
    WHERE status <> 'ok'
    """,
    "CREATE INDEX executions_that_failed_by_name ON tool_executions (tool_name, status) WHERE status <> 'ok'",
)

# A size that is not a number of bytes must not keep its answer from being deleted.
_TOTAL_OF_ANY_SIZES = (
    "DROP TRIGGER cache_grows",
    "DROP TRIGGER cache_shrinks",
    "DROP TRIGGER cache_changes",
    """
    CREATE TRIGGER cache_grows AFTER INSERT ON cache BEGIN
        UPDATE cache_total SET entries = entries + 1, bytes = coalesce(bytes + new.size, -1);
    END
    """,
    """
    CREATE TRIGGER cache_shrinks AFTER DELETE ON cache BEGIN
        UPDATE cache_total SET entries = entries - 1, bytes = coalesce(bytes - old.size, -1);
    END
    """,
    """
    CREATE TRIGGER cache_changes AFTER UPDATE OF size ON cache BEGIN
        UPDATE cache_total SET bytes = coalesce(bytes + new.size - old.size, -1);
    END
    """,
)


# A mark is the latest time of all rows up to its `seq`; `history` adds one after every 64th row. A query of
# the rows since a time need not go back beyond the last mark with an earlier time. The times of the rows
# alone can't tell where to stop, because a clock may be set back between two rows.
_MARKS = (
    "CREATE TABLE ROWS_reached (seq INTEGER PRIMARY KEY, reached_at TEXT NOT NULL)",
    "CREATE INDEX ROWS_reached_by_time ON ROWS_reached (reached_at)",
    """
    INSERT INTO ROWS_reached SELECT max(seq), max(max(CLOCK)) OVER (ORDER BY max(seq)) FROM ROWS
    GROUP BY seq / 64
    """,
    # Another program may delete rows or change their times.
    """
    CREATE TRIGGER ROWS_reached_shrinks AFTER DELETE ON ROWS BEGIN
        DELETE FROM ROWS_reached WHERE seq >= old.seq;
    END
    """,
    """
    CREATE TRIGGER ROWS_reached_changes AFTER UPDATE OF seq, CLOCK ON ROWS BEGIN
        DELETE FROM ROWS_reached WHERE seq >= min(old.seq, new.seq);
    END
    """,
)


_PATH = "replace(notebook, char(92), '/')"
# The last part of a path. `rtrim` removes all characters of the part, and so leaves what comes before it.
_FILE_NAME = f"replace({_PATH}, rtrim({_PATH}, replace({_PATH}, '/', '')), '')"
_NOTEBOOK = f"coalesce((SELECT {_FILE_NAME} FROM sessions WHERE id = session_id), '')"  # noqa: S608 - no input
# `search.name_token` describes the second word.
_TOOL_AND_NOTEBOOK = f"tool_name || ' ' || char(57344) || hex(tool_name) || ' ' || {_NOTEBOOK}"

# `search.add_indexable` adds the function `indexable`.
_SEARCH_BY_TOOL_AND_NOTEBOOK = (
    "CREATE VIRTUAL TABLE generation_search USING fts5(words, tokenize = 'unicode61')",
    f"""
    INSERT INTO generation_search (rowid, words)
    SELECT seq, indexable(CAST(words AS BLOB)) FROM (
        SELECT seq, tool_name || ' ' || {_NOTEBOOK} || ' ' || description || ' ' || reason AS words
        FROM generations
    )
    """,  # noqa: S608 - no input
    f"""
    UPDATE execution_search SET notes = notes || ' ' ||
        (SELECT indexable(CAST({_TOOL_AND_NOTEBOOK} AS BLOB)) FROM tool_executions
        WHERE seq = execution_search.rowid)
    WHERE rowid IN (SELECT seq FROM tool_executions)
    """,  # noqa: S608 - no input
)

# If the latest rows are deleted, new rows get their numbers. What refers to these numbers must not outlive
# them. A mark before them stays true, whatever is deleted.
_NUMBERS_GIVEN_AGAIN = (
    "DROP TRIGGER ROWS_reached_shrinks",
    """
    CREATE TRIGGER ROWS_reached_shrinks AFTER DELETE ON ROWS BEGIN
        DELETE FROM ROWS_reached WHERE seq > (SELECT coalesce(max(seq), 0) FROM ROWS);
        UPDATE history_state SET ROWS_seq = (SELECT coalesce(max(seq), 0) FROM ROWS)
        WHERE ROWS_seq > (SELECT coalesce(max(seq), 0) FROM ROWS);
    END
    """,
)

# A map runs a tool on the rows of a table; its runs name it as their parent. `history` lists the runs without
# a parent, which the partial indexes find among any number of rows of maps.
_MAPS = (
    """
    CREATE TABLE maps (
        seq          INTEGER PRIMARY KEY,
        id           TEXT NOT NULL UNIQUE,
        session_id   TEXT REFERENCES sessions (id),
        tool_id      TEXT REFERENCES tools (id),
        tool_name    TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        content_key  TEXT NOT NULL,
        total        INTEGER,
        ok           INTEGER NOT NULL,
        cached       INTEGER NOT NULL,
        failed       INTEGER NOT NULL,
        skipped      INTEGER NOT NULL,
        status       TEXT NOT NULL,
        error        TEXT,
        duration_ms  REAL NOT NULL,
        started_at   TEXT NOT NULL,
        ended_at     TEXT
    )
    """,
    "CREATE INDEX maps_by_content ON maps (content_key)",
    "CREATE INDEX maps_by_session ON maps (session_id)",
    "CREATE INDEX maps_by_name ON maps (tool_name)",
    "ALTER TABLE tool_executions ADD COLUMN parent_id TEXT",
    "CREATE INDEX executions_by_parent ON tool_executions (parent_id) WHERE parent_id IS NOT NULL",
    "CREATE INDEX executions_alone ON tool_executions (parent_id) WHERE parent_id IS NULL",
    "CREATE INDEX executions_alone_by_session ON tool_executions (session_id) WHERE parent_id IS NULL",
    "CREATE INDEX executions_alone_by_name ON tool_executions (tool_name) WHERE parent_id IS NULL",
)


def _marks(rows: str, clock: str) -> tuple[str, ...]:
    return tuple(statement.replace("ROWS", rows).replace("CLOCK", clock) for statement in _MARKS)


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    INITIAL,
    _PERMISSIONS_OF_RUNS,
    (*_ORDER_OF_INSERTION, *_TOTAL_OF_ANY_SIZES),
    (
        *_marks("tool_executions", "executed_at"),
        *_marks("generations", "started_at"),
        "DROP INDEX executions_by_time",
        "DROP INDEX generations_by_time",
    ),
    # NULL in a version that is older than this migration; it is measured when it is read.
    ("ALTER TABLE tools ADD COLUMN complexity_score REAL", *_SEARCH_BY_TOOL_AND_NOTEBOOK),
    (
        *TABLES_OF_TOTALS,
        *(
            statement.replace("ROWS", rows)
            for rows in ("tool_executions", "generations")
            for statement in _NUMBERS_GIVEN_AGAIN
        ),
    ),
    _MAPS,
)

"""The migrations that create the tables.

A migration is a tuple of statements. The database's ``user_version`` counts the migrations that were applied,
so never edit a released migration. To change the tables, add a tuple at the end of `MIGRATIONS`.
"""

from __future__ import annotations

from fact_magics.store.savings import TABLE_OF_SAVINGS
from fact_magics.store.schema_of_totals import (
    NUMBERS_OF_BLOCKS,
    TOTALS_BY_BLOCK,
    TOTALS_BY_PERIOD,
    TOTALS_BY_SCOPE,
)
from fact_magics.store.tables import INITIAL

# The ASCII codes of "FACT", which mark our databases.
APPLICATION_ID = 0x46414354

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

# Totals know rows by their numbers, so a number is never given again. `history_state` has the highest number
# of a row that was deleted when it was the latest one; `binding.insert` goes on after it.
_NUMBERS_GIVEN_ONCE = (
    "DROP TRIGGER ROWS_reached_shrinks",
    """
    CREATE TRIGGER ROWS_shrinks AFTER DELETE ON ROWS
    WHEN old.seq > (SELECT coalesce(max(seq), 0) FROM ROWS) BEGIN
        UPDATE history_state SET ROWS_seq = old.seq WHERE ROWS_seq < old.seq;
    END
    """,
)

# How long answers are good if a run does not say it; NULL for a tool without `--ttl`.
_TTL_OF_TOOLS = ("ALTER TABLE tools ADD COLUMN ttl_seconds REAL",)


_PRICES = (
    "ALTER TABLE generations ADD COLUMN cache_creation_1h_tokens INTEGER",
    "ALTER TABLE generations ADD COLUMN saved_usd REAL",
    TABLE_OF_SAVINGS,
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


# How far the examples of a version go, and the cell that asked for the version.
_PROBES = (
    """
    CREATE TABLE probes (
        seq INTEGER PRIMARY KEY,
        tool_id TEXT NOT NULL,
        tool_name TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        changes INTEGER NOT NULL,
        caught INTEGER NOT NULL,
        inputs INTEGER NOT NULL,
        questions TEXT NOT NULL,
        surprises TEXT NOT NULL,
        untried INTEGER NOT NULL,
        seconds REAL NOT NULL,
        probed_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX probes_by_tool ON probes (tool_id)",
    "ALTER TABLE tools ADD COLUMN strength TEXT NOT NULL DEFAULT ''",
    """
    CREATE TABLE tool_cells (
        seq INTEGER PRIMARY KEY,
        tool_id TEXT NOT NULL,
        tool_name TEXT NOT NULL,
        cell TEXT NOT NULL
    )
    """,
    "CREATE INDEX tool_cells_by_tool ON tool_cells (tool_id)",
    "CREATE INDEX tool_cells_by_name ON tool_cells (tool_name)",
)

# Rows of a map are stored in the order in which they end; they are read in the order of the table.
_POSITIONS_OF_ROWS = (
    "ALTER TABLE tool_executions ADD COLUMN position INTEGER",
    "DROP INDEX executions_by_parent",
    """
    CREATE INDEX executions_by_parent ON tool_executions (parent_id, position) WHERE parent_id IS NOT NULL
    """,
)


# Candidates that were asked for together: the groups that give the same answers.
_CANDIDATES = (
    "ALTER TABLE generations ADD COLUMN group_number INTEGER",
    "ALTER TABLE generations ADD COLUMN parting_call TEXT NOT NULL DEFAULT ''",
    # How many of the changes are other candidates; before this migration, none were.
    "ALTER TABLE probes ADD COLUMN candidates INTEGER NOT NULL DEFAULT 0",
)


def _of_runs_and_generations(statements: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        statement.replace("ROWS", rows).replace("CLOCK", clock)
        for rows, clock in (("tool_executions", "executed_at"), ("generations", "started_at"))
        for statement in statements
    )


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    INITIAL,
    _PERMISSIONS_OF_RUNS,
    (*_ORDER_OF_INSERTION, *_TOTAL_OF_ANY_SIZES),
    (
        *_of_runs_and_generations(_MARKS),
        "DROP INDEX executions_by_time",
        "DROP INDEX generations_by_time",
    ),
    # NULL in a version that is older than this migration; it is measured when it is read.
    ("ALTER TABLE tools ADD COLUMN complexity_score REAL", *_SEARCH_BY_TOOL_AND_NOTEBOOK),
    (*TOTALS_BY_PERIOD, *_of_runs_and_generations(_NUMBERS_GIVEN_AGAIN)),
    (
        *_PRICES,
        *TOTALS_BY_SCOPE,
        *_of_runs_and_generations(_NUMBERS_GIVEN_ONCE),
        *_TTL_OF_TOOLS,
        *_PROBES,
        *_MAPS,
    ),
    (*_POSITIONS_OF_ROWS, *_CANDIDATES, *TOTALS_BY_BLOCK),
    NUMBERS_OF_BLOCKS,
)

"""Preparation of texts and of queries for the full-text indexes."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

# Characters of scripts without spaces between words. The tokenizer would treat a whole sentence as one word.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f])"
)
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)")
_INDEXED_CHARACTERS = 16_384


def indexable(text: str) -> str:
    """Prepare plain text for the index: its first 16,384 characters, without lone surrogates."""
    return _spaced(text[:_INDEXED_CHARACTERS])


def add_indexable(connection: sqlite3.Connection) -> None:
    """Add the SQL function ``indexable``, which the migrations use; it takes a text as a BLOB."""

    def function(text: bytes) -> str:
        return indexable(text.decode("utf-8", "replace"))  # another program may have written other bytes

    connection.create_function("indexable", 1, function, deterministic=True)


def indexable_json(text: str) -> str:
    r"""Prepare JSON for the index: replace its escapes, so that ``"\nword"`` is not indexed as ``nword``."""
    head = text[:_INDEXED_CHARACTERS]
    return _spaced(_JSON_ESCAPE.sub(_unescaped, head) if "\\" in head else head)


def match_expression(query: str) -> str | None:
    """Make an FTS5 query for texts in which every word of `query` is the beginning of a word.

    Returns
    -------
    str or None
        None if `query` contains no letter or digit.
    """
    return " ".join(words_of(query)) or None


def words_of(query: str) -> list[str]:
    """Make an FTS5 query for the beginning of each word of a text that has a letter or digit."""
    # SQLite ignores everything after the first NUL of a query.
    words = [word for word in query.replace("\0", " ").split() if any(map(str.isalnum, word))]
    quoted = [_spaced(word).replace('"', '""') for word in words]
    return [f'"{word}"*' for word in quoted]


def name_token(name: str) -> str:
    """Make one word of a tool's name, which nobody types; it leads from a description to the tool's runs."""
    return f"\ue000{name.encode('utf-8', 'backslashreplace').hex()}"


def run_expression(connection: sqlite3.Connection, query: str) -> str | None:
    """Make an FTS5 query for runs, as `match_expression` does.

    A word also matches the runs of tools whose description or tags contain it: of the 50 among them that
    became current last.
    """
    tools = """
        SELECT toolbox.name FROM tool_search CROSS JOIN toolbox ON toolbox.seq = tool_search.rowid
        WHERE tool_search MATCH ? ORDER BY tool_search.rowid DESC LIMIT 50
    """
    wanted = []
    for word in words_of(query):
        found = connection.execute(tools, (f"{{description tags}} : {word}",))
        tokens = [f'"{name_token(name)}"' for (name,) in found if type(name) is str]
        wanted.append(f"({' OR '.join((word, *tokens))})")
    return " AND ".join(wanted) or None


def _spaced(text: str) -> str:
    if text.isascii():
        return text
    encodable = text.encode("utf-8", "replace").decode()
    return _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFC", encodable))


def _unescaped(escape: re.Match[str]) -> str:
    code = int(escape[1], 16) if escape[1] else 0x20
    return " " if 0xD800 <= code <= 0xDFFF else chr(code)

"""The result of a tool as a record: a picture, a table of rows, a tree that folds, or text."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from fact_magics.display.cells import Cell
from fact_magics.display.frames import COLUMNS, frame_of
from fact_magics.display.html import BROKEN, MONOSPACE, Html, Record, folded, join, preformatted, text, texts
from fact_magics.display.outline import LISTS, WIDTH, outline
from fact_magics.display.table import RULE, Table
from fact_magics.display.words import SCALARS, label, unquoted, word
from fact_magics.pictures import Image, Picture, image
from fact_magics.text import inert, plural, shorten

if TYPE_CHECKING:
    from fact_magics.display.frames import Frame
    from fact_magics.display.outline import Node

_CHARACTERS = 10_000
_LINES = 300
_TALL = 30
_TALL_CHARACTERS = 3_000
SCROLLED = "max-height:30em;overflow:auto"
"""The style of text that gets a scroll bar if it is long."""


def scrolled(shown: str) -> str:
    """Return `SCROLLED` for tall text and no style for other text."""
    return SCROLLED if len(shown) > _TALL_CHARACTERS or shown.count("\n") > _TALL else ""


def show(value: Any) -> Record:
    """Show plain data that a tool returned, up to a limit, in the form that suits it best."""
    if (found := value.image if isinstance(value, Picture) else image(value)) is not None:
        return _picture(found, value)
    if isinstance(value, str):
        return _text(str(value))
    if (frame := frame_of(value)) is not None:
        return _rows_of(frame)
    node = outline(bytes(value) if isinstance(value, bytes) else value)
    if _are_rows(node):
        table = _table(node)
        return Record(table.html(), inert("\n".join([*table.lines(), table.title])))
    if node.text is not None:
        return _line(node.text)
    opened = _opened(node)
    markup = f'<div style="{_ROOT}">{_branch("", node, opened)}</div>'
    return Record(markup, inert(node.layout()))


def _line(line: str) -> Record:
    line = inert(line)
    return Record(preformatted(line, style=scrolled(line)), line)


def _text(value: str) -> Record:
    if "\n" not in value[:_CHARACTERS].strip("\n"):
        return _line(word(value, _CHARACTERS))
    return _lines_of(value)


def _lines_of(value: str) -> Record:
    shown = shorten(value, len("\n".join(value[:_CHARACTERS].split("\n")[:_LINES])))
    return Record(preformatted(shown, style=scrolled(shown)), inert(shown))


def _picture(found: Image, value: object) -> Record:
    """Show a picture; if its file is text, the text is folded below it."""
    if not isinstance(value, str):
        return Record(found.html, found.plain, found.media)
    source = _lines_of(str(value))
    below = folded(f"Source · {plural(len(value), 'character')}", Html(source.html))
    return Record(join(Html(found.html), below), f"{found.plain}\n{source.plain}", found.media)


def _rows_of(frame: Frame) -> Record:
    """Show the first rows of a table, Series or array; of an array of more dimensions only type and size."""
    table = frame.table()
    if not table.head:
        return _line(table.title)
    return Record(table.html(), inert("\n".join([*table.lines(), table.title])))


# A list of dicts becomes a table of the first rows with their first fields; its title counts both.

_WIDEST = 60
_NUMBERS = frozenset({int, float, Decimal})


def _are_rows(node: Node) -> bool:
    """Whether a value reads well as a table: two or more dicts that share fields, with short values."""
    if node.kind not in LISTS or len(node.items) < 2:
        return False
    rows = [row for _, row in node.items]
    if not all(row.kind is dict and row.items for row in rows):
        return False
    cells = sum(len(row.items) for row in rows)
    names = {key for row in rows for key, _ in row.items}
    long = sum(cell.text is None for row in rows for _, cell in row.items)
    return 2 * cells >= len(names) * len(rows) and 3 * long <= cells


def _table(node: Node) -> Table:
    rows = [dict(row.items) for _, row in node.items]
    names = list(dict.fromkeys(key for row in rows for key in row))
    # Fields that occur only in the rows that are not shown are not counted, since that would take too long.
    columns = max(len(names), *(len(row.value) for _, row in node.items))
    shown = names[:COLUMNS]
    title = _counted(len(rows), len(node.value), "row")
    if len(shown) < columns:
        title += f", {_counted(len(shown), columns, 'column')}"
    return Table(
        title,
        tuple(map(label, shown)),
        [
            [_cell(fields[name]) if name in fields else _missing(name, row) for name in shown]
            for fields, (_, row) in zip(rows, node.items, strict=True)
        ],
        numbers={label(name) for name in shown if _are_numbers([row[name] for row in rows if name in row])},
    )


def _counted(shown: int, total: int, noun: str) -> str:
    known = plural(total, noun)
    return known if shown == total else f"the first {shown} of {known}"


def _are_numbers(cells: list[Node]) -> bool:
    kinds = {cell.kind for cell in cells if cell.value is not None}
    return bool(kinds) and kinds <= _NUMBERS


def _missing(name: Any, row: Node) -> str:
    # In a long row, the field may come after the part that was read.
    return "…" if row.left and name in row.value else ""


def _cell(node: Node) -> str | Cell:
    if node.image is not None:
        return Cell(str(node.text), Html(node.image.html))
    if node.kind is str:
        return unquoted(node.value, _WIDEST)
    if node.kind in SCALARS:
        return str(node.value if node.kind is Decimal else node.text)
    sketch = node.size if node.text is None else node.text
    return sketch if len(sketch) <= _WIDEST else f"{sketch[: _WIDEST - 1]}…"


# Dicts and lists become a tree that folds without a script. On pages that strip styles, it is a nested list.

# The largest numbers of lines that are open at first: in the whole tree, and in one branch below the root.
_OPEN_LINES = 40
_OPEN_BRANCH_LINES = 12
_SCROLLED_LINES = 60
_LOOKED_AT = 1_000
_PREVIEW = 60
_PREVIEWED = 8
_ROOT = f"{MONOSPACE};line-height:1.5;margin:0.3em 0;{BROKEN}"
_LIST = f"list-style:none;margin:0;padding:0 0 0 1em;border-left:{RULE}"
_LONG_LIST = f"{_LIST};max-height:40em;overflow:auto"
_NOTE = "opacity:0.75"


def _opened(root: Node) -> set[Node]:
    """Choose the branches that are open at first: the root and, level by level, short ones that fit."""
    opened = {root}
    room = _OPEN_LINES - _lines(root)
    waiting = deque(item for _, item in root.items if _folds(item))
    while waiting:
        node = waiting.popleft()
        lines = _lines(node)
        if lines <= min(room, _OPEN_BRANCH_LINES):
            room -= lines
            opened.add(node)
            waiting.extend(item for _, item in node.items if _folds(item))
    return opened


def _lines(node: Node) -> int:
    """Estimate the lines of an open branch whose own branches are closed."""
    if node.text is not None:
        return 1 + str(node.value).count("\n", 0, _LOOKED_AT)
    if node.is_filled:
        return 1 + sum(len(str(item.text)) + 2 for _, item in node.items) // WIDTH
    return len(node.items)


def _folds(item: Node) -> bool:
    """Whether an item is a branch or a text of several lines."""
    return item.text is None or (item.kind is str and "\n" in item.value[:_LOOKED_AT].strip("\n"))


def _branch(name: str, node: Node, opened: set[Node]) -> str:
    if node.text is not None:
        about = f"text · {plural(len(node.value), 'character')}"
        content = preformatted(shorten(node.value, len(node.text)))
    else:
        about = node.size if node in opened else _preview(node)
        content = _content(node, opened)
    summary = Html(f'{name}<span style="{_NOTE}">{text(about)}</span>')
    return folded(summary, content, is_open=node in opened)


def _content(node: Node, opened: set[Node]) -> Html:
    rest = f'<li style="{_NOTE}">{node.left_out}</li>' if node.left else ""
    if not node.items:
        return Html(f'<ul style="{_LIST}">{rest}</ul>')
    if _are_rows(node):
        return Html(f'<div style="padding-left:1em">{_table(node).html()}</div>')
    if node.is_filled:
        filled = ", ".join(str(item.text) for _, item in node.items)
        return Html(f'<ul style="{_LIST}"><li>{text(filled)}</li>{rest}</ul>')
    items = [item for _, item in node.items]
    names = map(label, (key for key, _ in node.items)) if node.kind is dict else count()
    written = texts(
        f"{name}: {'' if _folds(item) or item.image or item.table else item.text}"
        for name, item in zip(names, items, strict=False)
    )
    lines = [_item(line, item, opened) for line, item in zip(written, items, strict=True)]
    style = _LIST if len(lines) <= _SCROLLED_LINES else _LONG_LIST
    return Html(f'<ul style="{style}"><li>{"</li><li>".join(lines)}</li>{rest}</ul>')


def _item(line: str, item: Node, opened: set[Node]) -> str:
    if item.image is not None:
        return f"{line}<br>{item.image.html}"
    if item.table is not None:
        return f"{line}{item.table.html()}"
    return _branch(line, item, opened) if _folds(item) else line


def _preview(node: Node) -> str:
    if node.kind is not dict or not node.items:
        return node.size
    names = ", ".join(label(key) for key, _ in node.items[:_PREVIEWED])
    if len(names) > _PREVIEW or len(node.value) > _PREVIEWED:
        names = f"{names[:_PREVIEW].rstrip(', ')}, …"
    return f"{node.size} · {names}"

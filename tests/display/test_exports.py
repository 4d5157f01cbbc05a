"""Records in a notebook that is exported to HTML, or to Markdown whose HTML is sanitized."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup

from fact_magics.display.record import run_record, tool_record
from fact_magics.tool import ToolMetadata, ToolOutput, ToolVersion

if TYPE_CHECKING:
    from fact_magics.display.html import Record

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SOURCE = (
    "import re\n\n\ndef f(a: int) -> str:\n    '''Give *a* back.\n\n    # No heading, _no_ emphasis:\n\n"
    "        * no list\n    '''\n    \n    return re.sub('<b>', '', f'$ {a} $')\n"
)
TOLD = {"tool": "f", "version": "1.0.0"}


def tool() -> Record:
    metadata = ToolMetadata(
        id="1", name="f", version="1.0.0", description="Give back.\n\n# No heading\n\n    no code", contract="",
        permissions=(), tags=(), provider="anthropic", model="m", proven=False, varies=False, request_hash="",
        created_at="2026-11-22T09:00:00.000Z",
    )  # fmt: skip
    return tool_record(ToolVersion(metadata, SOURCE), "f(a: int) -> str")


RECORDS = {
    "a tool": tool(),
    "text": run_record(ToolOutput(True, SOURCE, 1.0, {**TOLD, "printed": "one\n\n# two\n"})),
    "a tree": run_record(ToolOutput(True, {"*a*": SOURCE, "b": ["_x_ `y`"] * 90}, 1.0, TOLD)),
    "a table": run_record(ToolOutput(True, [{"a|b": "*x*", "c": "\n\n# y"}] * 3, 1.0, TOLD)),
}


def exported(kind: str, record: Record) -> str:
    """Export a notebook that shows a record; nbconvert is imported here, since each worker imports this file."""
    from nbconvert.exporters import get_exporter
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    output = new_output("display_data", data=record.bundle)
    notebook = new_notebook(cells=[new_code_cell("f", outputs=[output])])
    return get_exporter(kind)().from_notebook_node(notebook)[0]


@pytest.mark.parametrize("what", RECORDS)
def test_a_page_holds_all_of_it_and_markdown_the_markup_as_it_is(parse, what):
    record = RECORDS[what]
    page = BeautifulSoup(exported("html", record), "html.parser")
    assert page.select_one("div.tex2jax_ignore").get_text() == parse(record.html).text
    assert record.html in exported("markdown", record)


@pytest.mark.parametrize("what", RECORDS)
def test_markdown_ends_no_record_before_its_end(what):
    written = exported("markdown", RECORDS[what])
    [block] = [block for block in re.split(r"\n[ \t]*\n", written) if "<div" in block]
    assert block.strip().startswith("<div")
    assert block.strip().endswith("</div>")


@pytest.mark.parametrize("what", RECORDS)
def test_all_of_it_is_still_there_without_a_style_and_without_folding(parse, what):
    stripped = re.sub(r' style="[^"]*"|</?(?:details|summary|span)[^>]*>', "", RECORDS[what].html)
    assert parse(stripped).text == parse(RECORDS[what].html).text

"""Text that acts when it is shown: results, printed text, errors, names and documentation are inert in every record."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from fact_magics.display.html import Record, element, folded, preformatted
from fact_magics.display.record import run_record, stopped_record, tool_record
from fact_magics.display.table import Table
from fact_magics.errors import ToolFailed
from fact_magics.sandbox import Call, Limits
from fact_magics.sandbox.frames import Ending, judge
from fact_magics.text import one_line
from fact_magics.tool import ToolMetadata, ToolOutput, ToolVersion

pytestmark = pytest.mark.slow

MARKUP = {
    "a script": "<script>alert(1)</script>",
    "a script in capitals": "<ScRiPt SRC=//evil.example>",
    "an image that fails": '<img src=x onerror="alert(1)">',
    "a picture that loads": '"><svg onload=alert(1)>',
    "a frame": "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "a page that moves": '<meta http-equiv="refresh" content="0;url=//evil.example">',
    "a style for the whole page": "<style>*{display:none}</style>",
    "a link that runs": '<a href="javascript:alert(1)">open</a>',
    "a form": '<form action="//evil.example"><input name=password autofocus onfocus=alert(1)></form>',
    "an end of everything": "</pre></code></td></table></details></div><blink>out</blink>",
    "an attribute's end": "' onmouseover='alert(1)' x='",
    "another attribute's end": '" onmouseover="alert(1)" x="',
    "a comment that stays open": "<!-- <u>",
    "a template": "<template shadowrootmode=open><script>alert(1)</script></template>",
    "an object": '<object data="data:text/html,<script>alert(1)</script>"></object>',
    "a blank line, which ends markup in Markdown": "x\n\n<script>alert(1)</script>\n\n",
    "a script in a drawing": '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "a page in a drawing": (
        '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><body onload="alert(1)"/></foreignObject></svg>'
    ),
}
CONTROLS = {
    "a colour": "\x1b[31mred\x1b[0m",
    "a cleared screen": "\x1b[2J\x1b[H all is well",
    "a title": "\x1b]0;evil\x07",
    "a link of the terminal's": "\x1b]8;;file:///etc/passwd\x1b\\click\x1b]8;;\x1b\\",
    "the clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "a question that the terminal answers": "\x1b[6n\x1b[c\x1bZ",
    "an eight-bit escape": "\x9b31m\x9d0;evil\x9c",
    "a text that runs backwards": "report\u202egnp.exe",
    "a text in isolation": "\u2066\u2067admin\u2069",
    "a line that is another": "ok\u2028isolation: full\u2029",
    "letters that models alone see": "hello\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065",
    "notes between lines": "a\ufff9b\ufffac\ufffb",
    "a NUL and a bell": "a\x00b\x07",
    "a backspace": "safe\x08\x08\x08\x08evil",
    "a half of a pair": "x\udcff",
}
HOSTILE = {**MARKUP, **CONTROLS}

ALLOWED = {
    "div",
    "p",
    "pre",
    "code",
    "span",
    "small",
    "strong",
    "em",
    "b",
    "details",
    "summary",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "ul",
    "ol",
    "li",
    "br",
    "hr",
    "h4",
    "h5",
    "img",
    "dl",
    "dt",
    "dd",
}
STYLES = (
    "style",
    "class",
    "cellpadding",
    "cellspacing",
    "scope",
    "open",
    "align",
    "alt",
    "src",
    "title",
    "colspan",
    "rowspan",
    "role",
    "start",
)
ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


class Elements(HTMLParser):
    """What a browser would make of markup: its elements, their attributes, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")


def dangers(markup: str, plain: str) -> set[str]:
    """Name what acts in a record: elements and attributes that are not ours, and controls."""
    found = Elements(markup)
    acting = found.tags - ALLOWED | set(found.attributes) - set(STYLES)
    acting |= {value for value in found.attributes.get("src", ()) if not value.startswith("data:image/")}
    acting |= {value for value in found.attributes.get("style", ()) if "url" in value or "alert" in value}
    if "<!--" in markup:
        acting.add("a comment")
    if re.search(r"\n[ \t]*\n", markup):
        acting.add("a blank line")  # where markup ends in Markdown
    return acting | {repr(match) for match in ACTIVE.findall(markup + plain)}


def output(**known: object) -> ToolOutput:
    told = {"tool": "t", "version": "1.0.0", "printed": "", "isolation": ("landlock",), **known}
    return ToolOutput(known.get("error") is None, known.pop("result", None), 1.0, told)


def version(text: str) -> ToolVersion:
    metadata = ToolMetadata.model_construct(  # without its checks: the display does not rely on them
        id="1", name=text, version="1.0.0", description=text, contract=f">>> t({text!r})\n1", permissions=(text,),
        tags=(text,), provider=text, model=text, proven=True, varies=False, request_hash="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    return ToolVersion(metadata, f"# {text}\ndef t():\n    '''{text}'''\n")


# Each place in which something of a tool's is shown.
PLACES = {
    "a result": lambda text: run_record(ToolOutput(True, text, 1.0, output().metadata)),
    "a key of a result": lambda text: run_record(ToolOutput(True, {text: {text: [text]}}, 1.0, output().metadata)),
    "a row of a result": lambda text: run_record(ToolOutput(True, [{text: text, "n": 1}, {text: text, "n": 2}], 1.0, output().metadata)),
    "bytes": lambda text: run_record(ToolOutput(True, text.encode("utf-8", "surrogatepass"), 1.0, output().metadata)),
    "a set": lambda text: run_record(ToolOutput(True, {text, "x"}, 1.0, output().metadata)),
    "printed text": lambda text: run_record(output(printed=text)),
    "printed text of a run that was stopped": lambda text: stopped_record("t", text, 1.0),
    "an error": lambda text: run_record(output(error=text, details=(text,), status="error", error_type=text)),
    "a warning": lambda text: run_record(output(warning=text)),
    "the layers in force": lambda text: run_record(output(isolation=(text,))),
    "permissions": lambda text: run_record(output(permissions=(text,))),
    "a name and a version": lambda text: run_record(output(tool=text, version=text)),
    "a tool": lambda text: tool_record(version(text), f"t({text})"),
    "a table": lambda text: Table(text, (text,), ((text,),)).record(),
    "a folded piece": lambda text: Record(folded(text, element("p", text, title=text)), one_line(text)),
    "text as it is": lambda text: Record(preformatted(text, code=True), one_line(text)),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", HOSTILE)
def test_what_acts_where_it_is_shown_as_it_is_acts_in_no_record(what: str, place: str) -> None:
    text = HOSTILE[what]
    assert dangers(f"<p title='{text}' class=\"{text}\">{text}</p>", text)
    record: Record = PLACES[place](text)
    assert not dangers(record.html, record.plain)


@pytest.mark.parametrize("what", HOSTILE)
def test_an_exception_is_inert_where_a_terminal_shows_it(what: str) -> None:
    text = HOSTILE[what]
    error = ToolFailed(text, hint=text, details=(text,))
    shown = "\n".join([str(error), *error._render_traceback_()])
    assert not ACTIVE.search(shown)


def test_the_names_of_an_exception_are_claims_too() -> None:
    """A tool may call its exception what it likes; what is told of it is bounded."""
    payload = b'{"type": "%b", "message": "m", "traceback": "", "mro": ["%b"]}' % (
        b"<b>" * 99_999,
        b"x" * 99_999,
    )
    ending = Ending(b"E" + len(payload).to_bytes(8, "big") + payload, 0, 0.0, None, "", 1.0)
    error = judge(Call("", "tool", b""), ending, Limits(), ()).error
    assert error is not None
    assert len(error.type_name) + len(error.message) + sum(map(len, error.mro)) < 100_000


@pytest.mark.parametrize(
    "printed",
    [
        "\x1b[999999999B\x1b[999999999Cx",
        "\x1b[999999999;999999999Hx",
        "\x1b[999999999@x\x1b[999999999L",
        "\x1b[999999999b",
        "x\r" * 100_000,
        "\x1b[1A" * 50_000,
        "\x1b[31m\x1b[0m" * 30_000,
        "\x1b[" + "1;" * 100_000,
        "\x1b]" + "x" * 200_000,
        "\n" * 200_000,
        "x" * 200_000,
        "\x08" * 200_000 + "x",
        "e\u0301" * 100_000,
        "e" + "\u0301" * 200_000,
    ],
)
def test_what_is_heavy_to_draw_is_drawn_small(printed: str) -> None:
    record = run_record(output(printed=printed))
    assert len(record.html) + len(record.plain) < 500_000
    assert not dangers(record.html, record.plain)

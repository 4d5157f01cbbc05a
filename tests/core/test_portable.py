"""The file that a tool travels in: exact both ways, readable, and hostile files refused in one line."""

from __future__ import annotations

import ast
import itertools
import random
import re

import pytest
from late import Late
from pydantic import SecretStr

from fact_magics.core import portable
from fact_magics.errors import TransferRefused
from fact_magics.text import utc_text
from fact_magics.tool import ToolMetadata, ToolVersion

KEY = SecretStr("a-secret-that-is-never-shown")
SOURCE = 'def slug(text: str) -> str:\n    """Make a slug."""\n    return text.lower()\n'
CONTRACT = ">>> slug(\"Hi\")\n'hi'\n\n>>> slug(3)\nTraceback (most recent call last):\nValueError"
# PEP 723, as its reference implementation reads a block.
REFERENCE = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


def tool(source: str = SOURCE, **fields: object) -> ToolVersion:
    known: dict[str, object] = {
        "id": "0123456789abcdef",
        "name": "slug",
        "version": "1.2.3",
        "description": "Make a slug.",
        "contract": CONTRACT,
        "permissions": ("env:LANG", "net:api.example.com:443"),
        "tags": ("text", "two words"),
        "provider": "anthropic",
        "model": "claude-sonnet-5-5",
        "proven": True,
        "varies": False,
        "request_hash": "of-this-database",
        "created_at": "2026-11-22T12:00:00.000Z",
    }
    return ToolVersion(ToolMetadata(**{**known, **fields}), source)  # type: ignore[arg-type]


def refused(text: str) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(TransferRefused) as caught:
        portable.read(text)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.hint
    return caught.value.line


def again(version: ToolVersion, key: SecretStr | None = None) -> portable.ToolFile:
    """Through a file on a disk and back."""
    return portable.read(portable.decode(portable.write(version, key).encode()))


class TestRoundTrip:
    def test_everything_that_means_something_elsewhere_comes_back(self):
        version = tool()
        file = again(version)
        known = version.metadata
        for name in (
            "name",
            "version",
            "description",
            "contract",
            "permissions",
            "tags",
            "provider",
            "model",
        ):
            assert getattr(file, name) == getattr(known, name)
        assert (file.source, file.created_at, file.examples, file.proven) == (
            SOURCE,
            utc_text(known.created_at),
            2,
            True,
        )
        assert file.signature == ""

    @pytest.mark.parametrize("seconds", [None, 60.0, 0.25, 1e-05, 315_360_000.0, 2 / 3])
    def test_the_time_of_its_answers_comes_back(self, seconds):
        assert again(tool(ttl_seconds=seconds), KEY).ttl_seconds == seconds

    def test_what_belongs_to_this_database_stays_here(self):
        text = portable.write(tool(), KEY)
        for kept in ("0123456789abcdef", "of-this-database", KEY.get_secret_value()):
            assert kept not in text

    def test_it_is_a_python_module_with_a_block_that_other_readers_find(self):
        text = portable.write(tool(source=f"# /// script\n# dependencies = []\n# ///\n{SOURCE}"))
        assert [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)] == ["slug"]
        blocks = {match["type"]: match["content"] for match in REFERENCE.finditer(text)}
        assert list(blocks) == ["fact-tool", "script"]
        assert "# >>> slug(\"Hi\")\n# 'hi'\n" in blocks["fact-tool"]  # as a person wrote it

    @pytest.mark.parametrize(
        "source",
        [
            "",
            "\n\n\n",
            "x = 1",  # no line end at its end
            "# ///\n# /// fact-tool\n# format = 2\n# ///\n" + SOURCE,
            SOURCE.replace("\n", "\r\n"),
            "a = 1\r\nb = 2\nc = 3\rd = 4\n",
            "\x0cdef f() -> int:\n\treturn 1\n\x0c",
            "s = 'é\u2028\x85\u202e\u200b\U0001f600'\n",
            "# -*- coding: latin-1 -*-\ns = 'ÿ'\n",
            "\ufeffx = 1\n",
            "s = '''# ///'''\nt = \"\"\"\n# ///\n\n\"\"\"\n",
        ],
    )
    def test_a_source_comes_back_to_the_last_byte(self, source):
        assert again(tool(source=source), KEY).source == source

    def test_texts_made_of_what_could_break_the_form_come_back(self):
        pieces = (
            "# /// fact-tool\n", "# ///\n", "///", "///\n", "\n", "\r\n", "\r", "\t", "\x0c", "\x85", "\u2028", "\u202e",
            "'''", '"""', "'", '"', "\\", "\\\n", "#", "# ", " ", "é", "\U0001f600", ">>> ", "contract = ", "[seal]\n",
            "digest = ", "signature = ", "\x1f", "\x7f", "\ufeff", "\xa0", "\U000e0001", "a",
        )  # fmt: skip
        chance = random.Random(20261122)  # noqa: S311 - texts to try, no secrets

        def text() -> str:
            return "".join(chance.choices(pieces, k=chance.randint(0, 10)))

        for number in range(500):
            version = tool(
                text(),
                contract=text(),
                description=text(),
                model=text(),
                tags=(text(), text()),
                provider=text(),
            )
            file = again(version, KEY if number % 2 else None)
            known = version.metadata
            assert (file.source, file.contract, file.description) == (
                version.source,
                known.contract,
                known.description,
            )
            assert (file.model, file.tags, file.provider) == (known.model, known.tags, known.provider)
            assert bool(file.signature) == bool(number % 2)

    def test_nothing_in_the_block_is_invisible_or_reorders_it(self):
        text = portable.write(
            tool(description="a\u202eb\x1b[31mc\u200bd\u2028e", contract=">>> f('\u202e')\n1")
        )
        assert all(character.isprintable() or character == "\n" for character in text)
        assert portable.read(text).description == "a\u202eb\x1b[31mc\u200bd\u2028e"

    @pytest.mark.parametrize("field", ["source", "description", "contract"])
    def test_a_lone_surrogate_is_refused(self, field):
        version = tool("s = '\ud800'") if field == "source" else tool(**{field: "\ud800"})
        with pytest.raises(TransferRefused, match="surrogate"):
            portable.write(version)

    def test_what_could_not_be_read_again_is_not_written(self):
        with pytest.raises(TransferRefused, match="1,000,000"):
            portable.write(tool("#" * 1_000_000))


class TestSignature:
    def test_only_its_key_proves_a_file(self):
        file = again(tool(), KEY)
        assert file.signature.startswith("hmac-sha256:")
        assert file.is_signed_by(KEY)
        assert not file.is_signed_by(SecretStr(KEY.get_secret_value() + "x"))
        assert not again(tool()).is_signed_by(KEY)

    def test_the_key_is_in_no_repr(self):
        assert KEY.get_secret_value() not in repr(again(tool(), KEY))

    def test_every_change_of_a_byte_is_seen(self):
        """Whoever changes a file can compute its digest anew, but not its signature."""
        text = portable.write(tool(), KEY)
        seal = text.index("digest = ")
        for at in range(0, len(text), 7):
            changed = text[:at] + ("x" if text[at] != "x" else "y") + text[at + 1 :]
            try:
                file = portable.read(changed)
            except TransferRefused:
                continue
            assert at > seal
            assert not file.is_signed_by(KEY), at

    def test_a_digest_computed_anew_does_not_save_a_changed_file(self):
        text = portable.write(tool(), KEY)
        forged = again(tool(SOURCE.replace("lower", "upper")))
        line = next(line for line in text.split("\n") if line.startswith("# signature"))
        mixed = portable.write(tool(SOURCE.replace("lower", "upper"))).replace(
            "\n# ///\n\n", f"\n{line}\n# ///\n\n"
        )
        assert portable.read(mixed).source == forged.source
        assert not portable.read(mixed).is_signed_by(KEY)

    @pytest.mark.parametrize("signature", ["é", "hmac-sha256:", "sha256:0", "none"])
    def test_a_signature_of_another_form_proves_nothing(self, signature):
        line = f'# signature = "{signature}"'
        text = portable.write(tool()).replace("\n# ///\n\n", f"\n{line}\n# ///\n\n")
        assert not portable.read(text).is_signed_by(KEY)

    def test_an_empty_one_is_no_unsigned_file(self):
        text = portable.write(tool()).replace("\n# ///\n\n", '\n# signature = ""\n# ///\n\n')
        assert "was changed" in refused(text)


class TestRefusal:
    def test_a_changed_file_is_refused_with_a_line_that_says_so(self):
        text = portable.write(tool())
        for changed in (
            text.replace("lower", "upper"),
            text.replace('"claude-sonnet-5-5"', '"claude-opus-5-5"'),
            text.replace("'hi'", "'HI'"),
            text.replace("proven = true", "proven = false"),
            text + "\n",
        ):
            assert "was changed after it was exported" in refused(changed)

    def test_a_newer_format_is_refused_with_a_line_that_says_so_whatever_else_it_holds(self):
        text = portable.write(tool()).replace("# format = 1\n", "# format = 2\n# {anything}: goes\n")
        assert "written by a newer fact_magics" in refused(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            SOURCE,
            "# /// fact-tool",
            "# /// fact-tool\n# ///\n\n",
            "# /// script\n# dependencies = []\n# ///\n\nx = 1\n",
            "#!/usr/bin/env python\n" + portable.write(tool()),
            portable.write(tool())[:200],
            portable.write(tool()).replace("# ///\n\n", "# ///\n"),
            portable.write(tool()).replace("# format = 1\n", ""),
            portable.write(tool()).replace("format = 1\n", "format = 0\n"),
            portable.write(tool()).replace("# name", "name"),
            portable.write(tool()).replace('# name = "slug"\n', ""),
            portable.write(tool()).replace('# name = "slug"\n', "# name = 3\n"),
            portable.write(tool()).replace('# name = "slug"\n', '# name = "slug"\n# name = "slug"\n'),
            portable.write(tool()).replace('# name = "slug"\n', '# name = "slug"\n# more = 1\n'),
            portable.write(tool()).replace('"1.2.3"', '"latest"'),
            portable.write(tool()).replace("# examples = 2", "# examples = true"),
            portable.write(tool()).replace("# digest", "# digests"),
            portable.write(tool()).replace('# tags = ["text", "two words"]', '# tags = ["text", "two words"'),
        ],
    )
    def test_a_foreign_or_broken_file_is_refused_in_one_line(self, text):
        refused(text)

    def test_one_that_asks_for_more_than_a_person_can_read_is_refused(self):
        many = tuple(f"net:{number}.example" for number in range(101))
        assert "permissions: List should have at most 100" in refused(portable.write(tool(permissions=many)))
        assert again(tool(permissions=many[1:])).permissions == many[1:]

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"\x7fELF\0\0", "binary"),
            (b"# /// fact-tool\n\xff\xfe", "not UTF-8"),
            ("# /// fact-tool\n".encode("utf-16"), "binary"),
            (Late(lambda: b"# /// fact-tool\n" + b"#" * 1_000_000), "larger than 1,000,000 bytes"),
        ],
    )
    def test_what_is_no_text_is_refused_in_one_line(self, data, told):
        with pytest.raises(TransferRefused, match=told) as caught:
            portable.decode(data)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        "line",
        [
            Late(lambda: "a" + ".a" * 300_000 + " = 1"),
            Late(lambda: "tags = [{a" + ".a" * 300_000 + " = 1}]"),
            Late(lambda: "x = " + "[" * 300_000),
            Late(lambda: 'name = "' + "\\" * 300_000),
            Late(lambda: "contract = '''\n# x'''\n# a" + ".a" * 300_000 + " = 1\n# '''"),
            Late(lambda: 'contract = """\n# \\"""\n# a' + ".a" * 300_000 + ' = 1\n# """'),
        ],
    )
    def test_a_line_that_would_keep_a_toml_reader_busy_is_not_given_to_it(self, line):
        """A dotted key of this length takes it an hour and all memory, so this test would not end."""
        text = portable.write(tool()).replace('# name = "slug"\n', f"# {line}\n")
        assert "does not belong in the header block" in refused(text)


class TestLineEnds:
    def test_a_checkout_that_converted_every_line_end_changes_nothing(self):
        text = portable.write(tool(), KEY)
        file = portable.read(portable.decode(text.replace("\n", "\r\n").encode()))
        assert file.source == SOURCE
        assert file.is_signed_by(KEY)

    def test_one_that_changed_the_source_s_own_is_refused(self):
        text = portable.write(tool("a = '''x\r\ny'''\n"))
        mended = re.sub("\r?\n", "\r\n", text)
        assert "was changed" in refused(portable.decode(mended.encode()))

    def test_an_editor_s_byte_order_mark_is_overlooked(self):
        text = portable.write(tool(), KEY)
        assert portable.read(portable.decode(b"\xef\xbb\xbf" + text.encode())).is_signed_by(KEY)


def test_no_two_tools_share_a_file():
    """What is signed tells every field from its neighbours."""
    texts = ["", "a", 'a"', "a\\", "a\n", '", "', "'''"]
    written = {
        portable.write(tool(description=first, model=second, permissions=(third,)), KEY)
        for first, second, third in itertools.product(texts, repeat=3)
    }
    assert len(written) == len(texts) ** 3

"""What models write around, inside and instead of one fenced block."""

from __future__ import annotations

import ast
from contextlib import contextmanager

import pytest

from fact_magics.writing.parser import extract

CODE = 'def f(x: int) -> int:\n    """Double."""\n    return x * 2\n'


def fenced(code: str, mark: str = "```", info: str = "python") -> str:
    return f"{mark}{info}\n{code}{mark}\n"


@pytest.mark.parametrize(
    "text",
    [
        fenced(CODE),
        "Here it is:\n\n" + fenced(CODE) + "\nIt doubles.",
        fenced(CODE, info=""),
        fenced(CODE, info="py"),
        fenced(CODE, info="Python"),
        fenced(CODE, info="python title=tool.py"),
        fenced(CODE, mark="````"),
        fenced(CODE, mark="~~~"),
        "\n".join("    " + line for line in fenced(CODE).splitlines()),
        fenced("pip install x\n", info="bash") + fenced(CODE) + fenced("print(f(2))\n"),
        fenced(CODE).replace("\n", "\r\n"),
        "\ufeff" + fenced(CODE),
        fenced(CODE).replace("Double", "Dou\x00ble"),
        "<think>def f(): maybe\n```python\ndef f(): pass\n```\n</think>" + fenced(CODE),
        CODE,
        "Sure.\n\n" + CODE + "\nThat doubles the number.",
        fenced(
            "\n".join([">>> def f(x: int) -> int:", '...     """Double."""', "...     return x * 2"]) + "\n"
        ),
        fenced(CODE.replace('"""', "\u201d\u201d\u201d").replace("\u201d\u201d\u201d", '"""')),
    ],
)
def test_the_function_is_found_whatever_surrounds_it(text):
    found = extract(text, "f")
    assert found.problem is None
    namespace: dict = {}
    exec(found.source.text, namespace)  # noqa: S102 - the source stands above
    assert namespace["f"](21) == 42
    assert namespace["f"].__doc__ == "Double."


def test_a_fence_inside_a_docstring_does_not_end_the_block():
    code = 'def f(x: int) -> int:\n    """Double.\n\n    ```\n    f(2)\n    ```\n    """\n    return x * 2\n'
    assert extract(fenced(code), "f").source.text == code


def test_smart_quotes_are_mended_only_where_the_code_does_not_parse():
    broken = "def f(x: str) -> str:\n    return x + \u201c!\u201d\n"
    assert '"!"' in extract(fenced(broken), "f").source.text
    meant = 'def f(x: str) -> str:\n    return x.strip("\u201c\u201d")\n'
    assert extract(fenced(meant), "f").source.text == meant


def test_helpers_in_a_block_of_their_own_are_kept():
    text = (
        fenced("def _double(x: int) -> int:\n    return x * 2\n")
        + "Then:\n"
        + fenced("def f(x: int) -> int:\n    return _double(x)\n")
    )
    namespace: dict = {}
    exec(extract(text, "f").source.text, namespace)  # noqa: S102 - the source stands above
    assert namespace["f"](3) == 6


def test_usage_after_the_function_is_left_out():
    source = extract(fenced(CODE) + fenced("print(f(2))\n"), "f").source.text
    assert "print" not in source


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("  \n\ufeff", "empty"),
        ("<think>what now", "empty"),
        ("I can't help with that.", "no-code"),
        (fenced("pip install x\n", info="bash"), "no-code"),
        (fenced("def g() -> None: ...\n"), "no-function"),
        (fenced("class f:\n    pass\n"), "no-function"),
        ("```python\n" + CODE, "cut"),
        ("```python\ndef f(x: int) -> int:\n    retu", "cut"),
        ("```pyth", "cut"),
        ("def f(x: int) -> int:\n    return (x", "cut"),
    ],
)
def test_what_is_missing_is_said(text, problem):
    assert extract(text, "f").problem == problem


def test_code_that_does_not_parse_is_left_for_the_checks_to_explain():
    found = extract(fenced("def f(x: int) -> int:\n    return x *\n"), "f")
    assert found.problem is None
    assert "return x *" in found.source.text


def test_hostile_text_of_many_fences_ends_soon():
    assert extract("```\n" * 20_000 + "def f(", "f").source is not None


@contextmanager
def counting(monkeypatch, parsed):
    parse = ast.parse
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", lambda source: parsed.append(len(source)) or parse(source))
        yield


@pytest.mark.parametrize("bad", ["So it doubles.", "It's (done", "try:\n    x = 1"])
def test_unfenced_text_is_parsed_a_few_times_only(bad, monkeypatch):
    parsed = []
    text = "import os\nimport re\n\n" + CODE + "\n" + bad + "\n" + "# more of it\n" * 200
    with counting(monkeypatch, parsed):
        found = extract(text, "f")
    assert found.source.text.strip().endswith("return x * 2")
    assert sum(parsed) < 20 * len(text)


def test_hostile_unfenced_text_is_parsed_up_to_a_bound(monkeypatch):
    parsed = []
    text = CODE + "try:\n" + "    x = 1\n" * 2_000
    with counting(monkeypatch, parsed):
        found = extract(text, "f")
    assert found.problem == "cut"
    assert sum(parsed) < 2_500_000


@pytest.mark.parametrize(
    "code",
    [
        'def f(t: str) -> str:\n    return "<think>" + t\n',
        'def f(t: str) -> str:\n    """Strip.\n\n    <think>a</think>\n    """\n    return t.replace("<think>", "")\n',
    ],
)
@pytest.mark.parametrize(
    "before", ["", "It strips `<think>` and <thinking>.\n\n", "<think>hm\n</think> <think>so</think>\n"]
)
def test_code_that_names_the_tags_of_thinking_is_left_as_it_is(code, before):
    for text in (before + fenced(code), before + code):
        found = extract(text, "f")
        assert found.problem is None
        assert found.source.text.strip() == code.strip()

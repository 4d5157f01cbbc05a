"""What models write around, inside and instead of one fenced block."""

from __future__ import annotations

import ast
import textwrap
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
        fenced(CODE).replace('"""', "\u201d\u201d\u201d"),
        f"Thought: easy.\nCode:\n```py\n{CODE}```<end_code>",
        f"```python\n{CODE}```<|im_end|>",
        f"```python\n{CODE}``` That is all.",
        f"```python\n{CODE.rstrip()}```\n",
        f"```python\n{CODE.rstrip()}``` Done.\n",
        f"- ```python\n{textwrap.indent(CODE, '  ')}  ```\n",
        f"1. Here: ```python\n{textwrap.indent(CODE, '   ')}   ```\nDone.",
        f"<|channel|>final<|message|>```python\n{CODE}```",
        f"{CODE.rstrip()}<|im_end|>",
        f"Sure:\n```python\n{CODE.rstrip()}</s>",
        f"<code>\n{CODE}</code>",
        f"```python\n{CODE}",
        f"```python\n{CODE}\nIt doubles the number.",
        f"Here it is:\n{CODE}```\nIt doubles.",
        f"```python\n```python\n{CODE}```\n```",
        f"```\n```\n{CODE}```\n",
        f"~~~\n~~~python\n{CODE}~~~\n",
        fenced(CODE, info="{.python .numberLines}"),
        fenced(CODE, info="tool_code"),
        fenced("print(1)\n", info="") + CODE,
        fenced("%pip install numpy\n!pip install x\n%%time\n" + CODE),
        fenced(CODE.replace("return ", "return\u200b ")),
        fenced(CODE.replace("x * 2", "x\u2060 * 2\u200f")),
        fenced(CODE.replace("return ", "return\u3000")),
        fenced(CODE.replace("    ", "\u00a0" * 4)),
        "\u200b" + CODE,
        f"- ```python\n{textwrap.indent(CODE.rstrip(), '  ')}\u200b<|im_end|>",
    ],
)
def test_the_function_is_found_whatever_surrounds_it(text):
    found = extract(text, "f")
    assert found.problem is None
    namespace: dict = {}
    exec(found.sources[0].text, namespace)  # noqa: S102 - the source stands above
    assert namespace["f"](21) == 42
    assert namespace["f"].__doc__ == "Double."


def test_a_fence_inside_a_docstring_does_not_end_the_block():
    code = 'def f(x: int) -> int:\n    """Double.\n\n    ```\n    f(2)\n    ```\n    """\n    return x * 2\n'
    assert extract(fenced(code), "f").sources[0].text == code


def test_smart_quotes_are_mended_only_where_the_code_does_not_parse():
    broken = "def f(x: str) -> str:\n    return x + \u201c!\u201d\n"
    assert '"!"' in extract(fenced(broken), "f").sources[0].text
    meant = 'def f(x: str) -> str:\n    return x.strip("\u201c\u201d")\n'
    assert extract(fenced(meant), "f").sources[0].text == meant


def test_invisible_characters_and_commands_in_text_that_parses_are_left():
    meant = (
        'def f(x: str) -> str:\n    """\n    %pip install x\n    """\n    return x.strip("\u200b\u3000")\n'
    )
    assert extract(fenced(meant), "f").sources[0].text == meant
    broken = meant.replace("return ", "return\u200b ")
    assert extract(fenced(broken), "f").sources[0].text.count("%pip install x") == 1


def test_every_module_that_defines_the_function_is_found_the_last_one_first():
    first, second = CODE, CODE.replace("x * 2", "x + x")
    for text in (
        fenced(first) + "Or better:\n" + fenced(second),
        fenced(first) + "Or better:\n\n" + second,
        f"```python\n{first}```python\n{second}```",
    ):
        found = extract(text, "f")
        assert [source.text.strip() for source in found.sources] in (
            [second.strip(), first.strip()],
            [first.strip(), second.strip()],
        )
    assert len(extract(fenced(first) + fenced(first), "f").sources) == 1


@pytest.mark.parametrize(
    "line",
    [
        '    if text.startswith("```"):\n        text = text[3:]\n',
        "    text = text.strip('~~~')  # not ~~~\n",
        "    # A fence is ```\n",
        "    text = text.replace('```python', '')\n",
        "    mark = '```'\n    text = text.removeprefix(mark).removesuffix(mark)\n",
    ],
)
@pytest.mark.parametrize("docstring", ['    """Strip."""\n', ""])
def test_marks_in_code_do_not_end_the_block(line, docstring):
    code = f'FENCE = "```"\n\n\ndef f(text: str) -> str:\n{docstring}{line}    return text\n'
    for text in (
        fenced(code),
        fenced(code) + "\nIt strips.\n",
        "Sure:\n" + fenced(code) + fenced("print(f('a'))\n"),
    ):
        assert [source.text for source in extract(text, "f").sources] == [code]


def test_the_last_of_many_blocks_counts():
    text = "".join(fenced(CODE.replace("x * 2", f"x * {n}")) for n in range(30))
    assert "x * 29" in extract(text, "f").sources[0].text


def test_future_imports_of_joined_blocks_come_first():
    future = "from __future__ import annotations\n"
    text = fenced(f"{future}\ndef _g(x: int) -> int:\n    return x\n") + fenced(
        f"{future}import re\n\ndef f(x: int) -> int:\n    return _g(x)\n"
    )
    [source] = extract(text, "f").sources
    compile(source.text, "f", "exec")
    assert source.text.count(future) == 1


def test_a_function_that_a_docstring_shows_is_not_a_module():
    code = (
        'def f(x: int) -> int:\n    """Double.\n\n    ```python\n    def f(x: int) -> int:\n        return x\n'
        '    ```\n    """\n    return x * 2\n'
    )
    assert [source.text for source in extract(fenced(code), "f").sources] == [code]


@pytest.mark.parametrize(
    "text", ["```python\ndef f(x: int) -> int:\n    retu (", "def f(x: int) -> int:\n    return (x"]
)
def test_code_that_stops_in_the_middle_is_given_to_the_checks(text):
    found = extract(text, "f")
    assert found.problem is None
    assert found.sources[0].tree is None


def test_helpers_in_a_block_of_their_own_are_kept():
    text = (
        fenced("def _double(x: int) -> int:\n    return x * 2\n")
        + "Then:\n"
        + fenced("def f(x: int) -> int:\n    return _double(x)\n")
    )
    namespace: dict = {}
    exec(extract(text, "f").sources[0].text, namespace)  # noqa: S102 - the source stands above
    assert namespace["f"](3) == 6


def test_usage_after_the_function_is_left_out():
    source = extract(fenced(CODE) + fenced("print(f(2))\n"), "f").sources[0].text
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
        ("```pyth", "no-code"),
        ("```python\nimport re\n\ndef g(", "no-function"),
        ("<think>def f(): pass</think>", "empty"),
    ],
)
def test_what_is_missing_is_said(text, problem):
    assert extract(text, "f").problem == problem


def test_code_that_does_not_parse_is_left_for_the_checks_to_explain():
    found = extract(fenced("def f(x: int) -> int:\n    return x *\n"), "f")
    assert found.problem is None
    assert "return x *" in found.sources[0].text


def test_hostile_text_of_many_fences_ends_soon():
    assert extract("```\n" * 20_000 + "def f(", "f").sources


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
    assert found.sources[0].text.strip().endswith("return x * 2")
    assert sum(parsed) < 20 * len(text)


def test_hostile_unfenced_text_is_parsed_up_to_a_bound(monkeypatch):
    parsed = []
    text = CODE + "try:\n" + "    x = 1\n" * 2_000
    with counting(monkeypatch, parsed):
        found = extract(text, "f")
    assert found.sources[0].tree is None
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
        assert found.sources[0].text.strip() == code.strip()

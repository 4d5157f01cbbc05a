"""Every way a cell can arrive: its body comes whole, its examples count, and its value is the cell's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.kernel

SOURCE = "def {name}(n: int) -> int:\n    return 2 * n\n"
BODY = "Double a number.\n\n>>> {name}(2)\n4\n\n>>> {name}(\n...     3)\n6\n"
CONTRACT = ">>> {name}(2)\n4\n\n>>> {name}(\n...     3)\n6"

WAYS = {
    "plain": "%%fact_generate {name}\n{body}",
    "comment_above": "# what this is for\n\n   # more\n%%fact_generate {name}\n{body}",
    "blank_lines_above": "\n\n%%fact_generate {name}\n{body}",
    "time": "%%time\n%%fact_generate {name}\n{body}",
    "capture": "%%capture caught\n%%fact_generate {name}\n{body}",
    "time_and_capture": "%%capture caught\n%%time\n%%fact_generate {name}\n{body}",
    "comment_between": "%%time\n# why\n%%fact_generate {name}\n{body}",
    "timeit": "%%timeit -n 1 -r 1\n%%fact_generate {name}\n{body}",
    "prun": "%%prun -q\n%%fact_generate {name}\n{body}",
    "run_cell_magic": "get_ipython().run_cell_magic('fact_generate', '{name}', {quoted})",
    "run_cell": "_r = get_ipython().run_cell('%%fact_generate {name}\\n' + {quoted})\nassert _r.success",
    "run_cell_in_a_loop": "for _ in range(2):\n    assert get_ipython().run_cell('%%fact_generate {name}\\n' + {quoted}).success",
    "autoawait_off": "%%fact_generate {name}\n{body}",
    "windows_line_ends": "%%fact_generate {name}\r\n{crlf}",
}


@pytest.fixture(scope="module", params=[7, 6], ids=["ipykernel7", "ipykernel6"])
def arriving(
    start_module_kernel: Callable, request: pytest.FixtureRequest
) -> Iterator[tuple[object, ModelServer]]:
    with ModelServer() as server:
        yield start_module_kernel(version=request.param, **server.environment()), server


@pytest.mark.parametrize("way", WAYS)
def test_examples_survive_however_the_cell_arrives(arriving, way, request):
    kernel, server = arriving
    name = f"{way}_{'six' if 'ipykernel6' in request.node.name else 'seven'}"
    server._script.clear()
    server.writes(SOURCE.format(name=name))
    body = BODY.format(name=name)
    code = WAYS[way].format(name=name, body=body, quoted=repr(body), crlf=body.replace("\n", "\r\n"))
    if way == "autoawait_off":
        kernel.run("%autoawait False")

    cell = kernel.run(code)
    kernel.run("%autoawait True")

    assert cell.status == "ok", cell.traceback + cell.plain
    assert kernel.run(f"print({name}.metadata.proven, {name}.metadata.contract)").stdout == (
        f"True {CONTRACT.format(name=name)}\n"
    )
    assert kernel.run(f"{name}(21)").plain == "42"


@pytest.mark.parametrize("above", ["%%time", "%%capture caught", "%%timeit -n 1 -r 1", "# a comment"])
def test_a_run_works_under_another_magic(arriving, above, request):
    kernel, server = arriving
    server._script.clear()
    kernel.run("%reset_selective -f ^under$")
    server.writes(SOURCE.format(name="under"))
    kernel.run(f"%%fact_generate under --fresh\n{BODY.format(name='under')}")

    cell = kernel.run(f"{above}\n%%fact_run under --into got\nn = 4")

    assert cell.status == "ok", cell.traceback
    assert kernel.run("got").plain == "8"
    if above == "%%time":
        assert "Wall time" in cell.plain
        assert "8" in cell.displays[-1]["data"]["text/plain"].splitlines()[0]
    if "capture" in above:
        assert cell.outputs == []
        assert "8" in kernel.run("caught.show()").plain


def test_captured_output_holds_the_record_and_nothing_alive(arriving):
    kernel, server = arriving
    server._script.clear()
    server.writes(SOURCE.format(name="caged"), pace=20)
    kernel.run(f"%%capture caught\n%%fact_generate caged --fresh --replace\n{BODY.format(name='caged')}")
    # A value that shows nothing leaves an empty bundle in what %%capture holds.
    kinds = kernel.run("print([sorted(o.data) for o in caught.outputs if o.data])")
    assert kinds.stdout == "[['text/html', 'text/plain']]\n"


def test_a_cell_with_prompts_of_another_magic_is_left_alone(arriving):
    kernel, _ = arriving
    assert kernel.run(">>> 1 + 1").plain == "2"
    assert kernel.run("%%time\n>>> x = 3\n>>> x").plain.endswith("3")


def test_what_mentions_the_magic_in_text_is_left_alone(arriving):
    kernel, _ = arriving
    kernel.run("%%writefile note.txt\n%%fact_run is written here\n>>> and a prompt\n")
    assert kernel.run("print(open('note.txt').read())").stdout.startswith(
        "%%fact_run is written here\n>>> and a prompt"
    )
    assert kernel.run("s = '''\n%%fact_run x\n'''\ns").plain == "'\\n%%fact_run x\\n'"

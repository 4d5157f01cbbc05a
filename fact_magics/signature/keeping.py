"""Tell from a tool's syntax tree whether it may keep anything from one call to the next.

This decides only whether rows of a map may share a process. Each row still gets a new module there, and the
process is checked for changes that a row left behind.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fact_magics.signature.purity import reaches_out
from fact_magics.signature.varying import COMPUTING
from fact_magics.values.literals import dotted_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Packages that keep no state between calls if the names below are not used.
_STEADY_PACKAGES = frozenset({"dateutil", "numpy", "pandas", "polars", "pytz", "regex", "urllib"})
# Builtins that reach the state of the process, and attributes that change state which its code shares.
_REACHING = frozenset(
    """
    open eval exec compile __import__ globals vars input breakpoint setattr delattr attrgetter methodcaller
    get_type_hints ForwardRef ImportString
    """.split()  # noqa: SIM905
)
# Attributes and imports that lead to the frames, the modules or the memory of the process. With them, a row
# could write the answers of other rows.
_LEADING_OUT = frozenset(
    """
    gi_frame cr_frame ag_frame tb_frame tb_next f_back f_locals f_globals f_builtins _getframe currentframe
    sys _sys os _os io _io builtins posix nt subprocess importlib inspect threading signal mmap ctypes
    ctypeslib pickle read_pickle gc eval exec_module load_module import_module get_field attrgetter
    methodcaller get_type_hints ForwardRef ImportString as_strided
    """.split()  # noqa: SIM905
)
_CHANGING = frozenset(
    """
    environ putenv unsetenv chdir umask setlocale seed setstate simplefilter filterwarnings resetwarnings
    setrecursionlimit setswitchinterval settrace setprofile setcontext DefaultContext BasicContext
    ExtendedContext setfirstweekday register register_dialect field_size_limit set_option set_eng_float_format
    reset_option options seterr seterrcall setbufsize set_printoptions set_string_function modules open
    install_opener
    """.split()  # noqa: SIM905
)
_NAMED = _CHANGING | _LEADING_OUT
_MUTATING = frozenset(
    """
    append extend insert remove pop clear sort reverse add discard update setdefault popitem appendleft
    extendleft popleft rotate send throw close write writelines move_to_end subtract intersection_update
    difference_update symmetric_difference_update
    """.split()  # noqa: SIM905
)
_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)
_IMMUTABLE_CALLS = frozenset(
    {"tuple", "frozenset", "Decimal", "Fraction", "date", "datetime", "time", "timedelta", "compile", "Field"}
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def kept_between_calls(tree: ast.Module, packages: Iterable[str]) -> str:
    """Say what a module may keep from one call to the next; an empty text if nothing is found."""
    unknown = sorted(set(packages) - COMPUTING - _STEADY_PACKAGES)
    if unknown:
        return f"it imports {unknown[0]}"
    nodes = [*ast.walk(tree)]
    inside = {id(part) for node in nodes if isinstance(node, _FUNCTIONS) for part in ast.walk(node)}
    shared, none = _module_names(tree), frozenset[str]()
    return next(filter(None, (_kept(node, shared if id(node) in inside else none) for node in nodes)), "")


def _kept(node: ast.AST, shared: frozenset[str]) -> str:
    match node:
        case ast.AsyncFunctionDef():
            return "it is asynchronous"
        case ast.Global(names) | ast.Nonlocal(names):
            return f"it assigns {names[0]} outside its function"
        case ast.Name(name) if name in _REACHING:
            return f"it uses {name}"
        case ast.Attribute(attr=name) | ast.alias(name) if name.rpartition(".")[2] in _NAMED:
            return f"it uses {name}"
        case ast.Call(ast.Name("getattr"), [_, name, *_]) if not _is_harmless(name):
            return f"it uses getattr with {ast.unparse(name)[:40]}"
        case ast.Attribute(value, name, ctx=ast.Store() | ast.Del()):
            root = _root(value)
            return "" if root == "self" else f"it assigns {root or 'an object'}.{name}"
        case ast.Subscript(value, ctx=ast.Store() | ast.Del()) if _root(value) in shared:
            return f"it changes {_root(value)}"
        case ast.AugAssign(target=ast.Name(name)) if name in shared:
            return f"it changes {name}"
        case ast.Call(ast.Attribute(value, name)) if name in _MUTATING and _root(value) in shared:
            return f"it changes {_root(value)}"
        case ast.Call(ast.Name("next"), [ast.Name(name), *_]) if name in shared:
            return f"it advances {name}"
        case ast.arguments(defaults=defaults, kw_defaults=others):
            mutable = next(filter(_is_mutable, [*defaults, *filter(None, others)]), None)
            return "" if mutable is None else f"a default, {ast.unparse(mutable)[:40]}, can be changed"
    return "it uses names with two underscores" if reaches_out(node) and not _is_super(node) else ""


def _is_harmless(name: ast.expr) -> bool:
    return (
        isinstance(name, ast.Constant)
        and isinstance(name.value, str)
        and name.value not in _NAMED
        and not name.value.startswith("__")
    )


def _is_super(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(ast.Call(ast.Name("super")), "__init__" | "__post_init__"):
            return True
        case ast.Attribute(attr="__name__" | "__class__" | "__doc__"):
            return True
    return False


def _is_mutable(default: ast.expr) -> bool:
    if isinstance(default, ast.Call):
        return (dotted_name(default.func) or "").rpartition(".")[2] not in _IMMUTABLE_CALLS
    return isinstance(default, _MUTABLE)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _module_names(tree: ast.Module) -> frozenset[str]:
    """Collect the names of a module's top level that no function binds again."""
    own = {name for node in _outside_functions(tree.body) for name in _bound(node)}
    inner = {
        name
        for node in ast.walk(tree)
        if isinstance(node, _FUNCTIONS)
        for part in ast.walk(node)
        if part is not node
        for name in _bound(part)
    }
    return frozenset(own - inner)


def _outside_functions(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    waiting = [*body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _bound(node: ast.AST) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    return {node.arg} if isinstance(node, ast.arg) else set()

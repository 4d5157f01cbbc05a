"""The canonical form of values: one definition for cache keys, the wire to the sandbox, and the history.

`foreign` converts objects of notebooks to plain values, `wire` writes these as bytes and reads them back,
`plain` writes them for people, and `literals` reads them from Python source. `tables` and the modules that it
uses do so for the tables, Series and arrays of libraries.
"""

from fact_magics.values.attachments import Wire
from fact_magics.values.foreign import normalise
from fact_magics.values.forms import Table, ToolEnum, ToolObject, ValueTypeError, WireError
from fact_magics.values.plain import brief, plain
from fact_magics.values.wire import decode, decode_result, encode, encode_call

__all__ = [
    "Table",
    "ToolEnum",
    "ToolObject",
    "ValueTypeError",
    "Wire",
    "WireError",
    "brief",
    "decode",
    "decode_result",
    "encode",
    "encode_call",
    "normalise",
    "plain",
]

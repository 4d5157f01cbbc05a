"""The canonical form of values: one definition for cache keys, the wire to the sandbox, and the history.

`foreign` takes what notebooks hold as plain values, `wire` writes and reads them, `plain` tells them as JSON
for people and `showing` on one line, `literals` reads them from Python source.
"""

from fact_magics.values.foreign import normalise
from fact_magics.values.forms import MAX_DEPTH, ToolEnum, ToolObject, ValueTypeError, WireError
from fact_magics.values.plain import iso_duration, plain
from fact_magics.values.wire import decode, decode_result, encode, encode_call

__all__ = [
    "MAX_DEPTH",
    "ToolEnum",
    "ToolObject",
    "ValueTypeError",
    "WireError",
    "decode",
    "decode_result",
    "encode",
    "encode_call",
    "iso_duration",
    "normalise",
    "plain",
]

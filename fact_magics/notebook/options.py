"""What the line of a magic may hold: the words and options of a command, and its ``--help`` page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from fact_magics.names import identifier_in
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST_LABEL = 200


def seconds(longest: int) -> Callable[[str], float]:
    """Return a function that reads a number of seconds, at most `longest`."""

    def read(text: str) -> float:
        value = _number(text)
        if not 0 < value <= longest:
            raise ValueError(f"is not a number of seconds above 0 and at most {longest}")
        return value

    return read


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a function that reads whole numbers from `lowest` to `highest`."""

    def read(text: str) -> int:
        value = _number(text)
        if not (value.is_integer() and lowest <= value <= highest):
            raise ValueError(f"is not a whole number from {lowest} to {highest}")
        return int(value)

    return read


def dollars(text: str) -> float:
    """Read an amount of US dollars."""
    value = _number(text)
    if not 0 <= value < inf:
        raise ValueError("is not an amount of US dollars, such as 0.50")
    return value


def one_of(*values: str) -> Callable[[str], str]:
    """Return a function that reads one of these values."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"is not {' or '.join(values)}")
        return text

    return read


def label(text: str) -> str:
    """Read a short text: a tag, or the name of a model."""
    if len(text) > _LONGEST_LABEL:
        raise ValueError(f"has {len(text):,} characters; at most {_LONGEST_LABEL} are allowed")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command.

    Attributes
    ----------
    name : str
        The name with its dashes: ``--timeout``.
    value : str
        The placeholder for the option's value, which also selects its completions; empty for a switch.
    read : callable
        Converts the value's text. The message of its ValueError completes the sentence "'x' …", such
        as ``is not a number``.
    """

    name: str
    help: str
    value: str = ""
    read: Callable[[str], Any] = str
    repeatable: bool = False

    @property
    def key(self) -> str:
        """The option's name as a Python identifier."""
        return self.name.lstrip("-").replace("-", "_")


def _no_hint(words: Sequence[str], has_options: bool, line: str) -> str:
    del words, has_options, line
    return ""


def one_name(words: Sequence[str], has_options: bool, line: str) -> str:
    """Say how to write several words as one name."""
    del line
    if has_options or not all(map(str.isidentifier, words)):
        return ""
    name = identifier_in(" ".join(words))
    return f"A name is one word: {name}." if name else ""


def body_below(words: Sequence[str], has_options: bool, line: str) -> str:
    """Say where the input of a run belongs."""
    if not any("=" in word for word in words[1:]):
        return ""
    # The line is shown as it is written, because its words have lost their quotes.
    given = "" if has_options else line.partition(words[0])[2].strip()
    return f"Write the input in the lines below{f': {one_line(given, 60)}' if given else '.'}"


@dataclass(frozen=True, slots=True)
class Command:
    """A magic or a subcommand of ``%fact``, with the words and options of its line.

    Attributes
    ----------
    words : tuple of str
        The placeholders of the words, in order. The word of ``NAME[@VERSION]`` is stored under ``NAME``. A
        word whose placeholder ends in ``?`` may be left out.
    examples : tuple of str
        Lines that can be copied into a cell.
    body : str
        What the lines below a cell magic hold, as part of a sentence.
    excess : callable
        Takes all words of a line with too many words, whether the line has options, and the line. Returns a
        hint, or an empty text for the usual hint.
    """

    name: str
    summary: str
    words: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = ()
    body: str = ""
    excess: Callable[[Sequence[str], bool, str], str] = _no_hint

    @property
    def usage(self) -> str:
        """The command with its words, such as ``%fact rollback NAME [VERSION]``."""
        words = (f"[{word[:-1]}]" if word.endswith("?") else word for word in self.words)
        return " ".join((self.name, *words))

    @property
    def keys(self) -> list[str]:
        """The names under which `Arguments` stores the words, in order."""
        return [re.sub(r"\[.*?\]|\?", "", word) for word in self.words]

    def help_text(self) -> str:
        """Write the page that ``--help`` shows."""
        rows = [(f"{option.name} {option.value}".strip(), option.help) for option in self.options]
        rows.append(("--help", "Show this page."))
        width = max(len(name) for name, _ in rows)
        lines = [f"{self.usage} [options]", "", self.summary, "", "Options"]
        lines += [f"  {name.ljust(width)}  {text}" for name, text in rows]
        if self.examples:
            lines += ["", "Examples", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines)

"""Read a request for a tool: its meaningful words, the work that it names, and the result that it wants."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Via: TypeAlias = Literal["to", "from", "of", "nothing"]

_TRUTH = re.compile(
    r"\b(?:whether|bool(?:ean)?|predicate|true (?:if|or|when|for|iff|only)|returns? (?:true|false)"
    r"|(?:check|tell|test|determine|see|decide|verify) (?:if|that)|(?:^|[.?!]\s+)is (?:it|this|the|a|an)\b)",
    re.IGNORECASE,
)
_VALUE = re.compile(r"[0-9]+[a-z]{0,3}")  # such as 45, 2h, 30min
_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"(?<!\w)(?:'[^'\n]{1,60}'|\"[^\"\n]{1,60}\"|`[^`\n]{1,60}`)(?!\w)")
_SMALL = """
a able about accept accepts accord according across allow allowed already also among an and any anything
appropriate arbitrary are argument arguments as at based basic be been being both build but by calculate
calculates calculation call called calls can certain client code come comes computation compute computes
contract conversion correctly could create creates creating customer deal dealing default determine
determines did directly display do does doesn don done e each easily eg eight either error errors etc every
everything example examples exception exceptions five following for found four from function functions g get
gets give given gives giving had has have he helper here how i if in input instead into is isn it its just
keyword let like make makes making may me method might multiple must my need needed needs new nice nicely
nine no nor not obtain of off on one ones only onto optional optionally or otherwise our out output outputs
over param parameter parameters particular per perform please possible produce produces program properly
provide python quick quickly raise raises raising result results return returned returning returns routine s
script seven several shall should show simple simply six smart so some somebody someone something such t
take takes taking tell tells ten than that the their them then there these they thing things this those
three through to took tool tools typeerror typical unknown up us use used user uses using usual utility
valueerror various version very via want wants was way ways we were what when where which who whole whose
will with within would write you your
"""
# Words that name a kind of work. A request with such a word matches only tools that do this work.
_DEEDS = """
add age align animate anonymise anonymize api append apply audio authenticate authorize average backup blend
blur bottom brighten browser buy calendar camelcase capitalise capitalize censor chart check chunk classify
clip closest cluster combine compare compile compress concatenate convert copy correlation count crawl crop
cumulative darken database dataframe debug decode decompress decrypt dedupe deduplicate delay delete
deserialize detect diff directory divide download draw dump duration earliest elapsed encode encrypt epoch
equal equality estimate evaluate excel execute exist exists export extract fake fetch file files filter find
fit folder forecast forward frequency frequent generate geocode graph group guess hash highlight histogram
html http image import infer insert install interpolate invert join largest latest learn least lemmatize
lighten load login longest lookup mask maximum mean median melt merge minimum mix mock mode monitor most
move multiply nearest newest next normalise normalize obfuscate oldest open optimize outlier outliers pad
pandas paraphrase parquet parse patch path pay pdf photo pivot plot pluralize post predict previous print
publish quarter query random randomly rank receive recommend recursion redact regression remaining remind
remove rename render replace reply resize restore reverse rewrite rotate round sample save scale schedule
schema scrape search select send serialize server shift shorten shortest show shuffle sign simulate smallest
smooth solve sort sorted spellcheck split sql standardize store subscribe subtract sum summarise summarize
swap timestamp timezone tokenize top total track train transcribe transform translate transpose trim
truncate undo unflatten unsubscribe unzip update upload uppercase validate verify video visualise visualize
wait watch website weekday wrap xml yaml youngest zip
"""
_PREPOSITIONS = frozenset(
    {"to", "into", "as", "from", "of", "in", "for", "by", "with", "between", "on", "using", "and", "or"}
)
# Words that end the part of a sentence that names the result.
_ENDS = "without when if where which whose that so but unless while"
_CONTAINERS = "all array collection column every list lists sequence set tuple"


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a tool. All words are stems.

    A meaningful word has the weight 1 in the first sentence, and less in the name and in later sentences.
    """

    stems: tuple[str, ...]  # all words, in order
    weights: dict[str, float]  # of the meaningful words
    deeds: frozenset[str]  # words for a kind of work, in the name and the first sentence
    target: frozenset[str]  # words for the result, if any: "into a list of dicts", "extract the domain from"
    via: Via  # the word by which the target was found
    truth: bool  # whether the request asks for true or false


class Reader:
    """Reads requests. `stem` returns the stems of a list of words, in the same order."""

    def __init__(self, stem: Callable[[list[str]], list[str]]) -> None:
        self._stem = stem
        self._small = frozenset(stem(words_of(_SMALL)))
        self._deeds = frozenset(stem(words_of(_DEEDS)))
        self._ends = frozenset(stem(words_of(_ENDS)))
        self._containers = frozenset(stem(words_of(_CONTAINERS)))

    def read(self, name: str, description: str) -> Request:
        """Read a request from the tool's name and its description."""
        # Text in quotes is an example of a value and does not describe the work.
        first, rest = _sentences(_QUOTED.sub(" ", description))
        name_stems = self._stem(words_of(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)))
        # "Add working days without counting weekends" does not ask for counting.
        main, without, exception = first.partition(" without ")
        main_stems, first_stems = self._stem(words_of(main)), self._stem(words_of(first))
        rest_stems = self._stem(words_of(f"{without}{exception} {rest}"))
        weights: dict[str, float] = {}
        for stems, weight in ((main_stems, 1.0), (name_stems, 0.4), (rest_stems, 0.4)):
            for stem in stems:
                if stem not in self._small and len(stem) > 1 and not _VALUE.fullmatch(stem):
                    weights[stem] = max(weight, weights.get(stem, 0.0))
        target, via = self._target(
            self._stem(words_of(re.sub(r"^\s*given [^,]*,", "", first, flags=re.IGNORECASE)))
        )
        deeds = self._deeds & {*(main_stems or name_stems)}
        truth = bool(_TRUTH.search(first)) or bool(_TRUTH.search(rest))
        every = (*name_stems, "·", *first_stems, "·", *rest_stems)
        return Request(every, weights, deeds, target, via, truth)

    def _target(self, stems: list[str]) -> tuple[frozenset[str], Via]:
        for names_outcome in (("to", "into", "return"), ("as",)):
            for at, stem in enumerate(stems[1:], start=1):
                # "with names as keys" and "have dates as text" describe the input.
                if stem == "as" and not {"with", "have"}.isdisjoint(stems[:at]):
                    continue
                if stem in names_outcome and stems[at - 1] not in ("such", "accord", "up", "from", "written"):
                    following = self._segment(stems, at + 1)
                    if following and not following & self._deeds:
                        return following, "to"
        found: set[str] = set()
        for stem in stems[1:]:
            if found and (stem == "from" or stem == "of"):
                return frozenset(found), "from" if stem == "from" else "of"
            if found and (stem in _PREPOSITIONS or stem == "return"):
                break
            if self._has_meaning(stem):
                found.add(stem)
        return frozenset(), "nothing"

    def _has_meaning(self, stem: str) -> bool:
        return len(stem) > 1 and not (
            _VALUE.fullmatch(stem) or stem in _PREPOSITIONS or stem in self._small or stem in self._containers
        )

    def _segment(self, stems: list[str], start: int) -> frozenset[str]:
        """Collect the meaningful words from `start` to the next preposition, but skip "a list of"."""
        found: set[str] = set()
        for stem in stems[start:]:
            if stem in self._ends:
                break
            if stem in _PREPOSITIONS:
                if found and stem not in ("and", "or"):
                    break
            elif self._has_meaning(stem):
                found.add(stem)
        return frozenset(found)


def words_of(text: str) -> list[str]:
    """Split a text into words of letters and digits; a spelling such as "e-mail" counts as one word."""
    plain = text.lower()
    if not plain.isascii():
        apart = unicodedata.normalize("NFKD", text)
        plain = "".join(character for character in apart if not unicodedata.combining(character)).lower()
    plain = re.sub(r"\be-mail", "email", plain).replace("look up", "lookup")
    plain = plain.replace("datetime.date", "date").replace("data frame", "dataframe")
    return _WORD.findall(plain)


def _sentences(description: str) -> tuple[str, str]:
    parts = re.split(r"(?<=[.!?;:])\s+|\n\s*\n", description.strip(), maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""

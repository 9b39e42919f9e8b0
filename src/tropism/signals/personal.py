"""What is personal in a text, as patterns that RE2 (DuckDB), Java (Spark) and Python read alike; and the slow twin.

They keep to what the three share: no look-around, no `\\b`, `\\w`, `\\s` or dot, which mean other characters in each,
and no repeated group without a bound, so that no text makes one of them slow. What must stand beside a spot is a group
that is put back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

START, END, OPEN, SHUT = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
"""Noncharacters, which no text should hold and which are removed where one does: what stands around every number while
phone numbers are looked for, and around the name of a group in `privacy.scrub`."""

MARKS = f"[{START}{END}{OPEN}{SHUT}]"


class Pattern(NamedTuple):
    """Spots of one look, and what must stand directly before and after them; no group in any of these may capture."""

    spots: tuple[str, ...]
    before: str = ""
    after: str = ""

    @property
    def regex(self) -> str:
        """The whole, with group 1 before the spot and group 2 after it."""
        return f"({self.before})(?:{'|'.join(self.spots)})({self.after})"

    @property
    def passes(self) -> int:
        """How often it is applied: a spot takes the character after it from a neighbour that needs it before."""
        return 2 if self.after else 1


class Kind(NamedTuple):
    """One kind of personal information, what is written in its place, and how it looks."""

    name: str
    placeholder: str
    patterns: tuple[Pattern, ...]


_LETTER = "A-Za-zÀ-\u1fff"  # in brackets; beyond ASCII a range, so that no engine asks its own tables
_NO_NAME = f"^|[^{_LETTER}0-9@._/\\]-]"

_PATH = f"[{_LETTER}0-9!#$%&'(*+,./:;=?@_~-]*[{_LETTER}0-9#$%&(*+/=@_~-]"  # ends before the sentence's punctuation
_LABELS = "(?:[A-Za-z0-9-]{1,63}[.]){1,4}"
_SITES = "(?:com|org|net|edu|gov|info|io|co|me|tv|gg|ly|be|it|de|at|ch|fr|nl|es|eu|uk|us|ca|au|in|ai|app|dev)"

_URL = (
    Pattern((f"[A-Za-z][A-Za-z0-9+.-]{{1,15}}://{_PATH}",)),
    Pattern(
        (
            f"[Ww][Ww][Ww][.]{_LABELS}[A-Za-z]{{2,24}}(?:[:/?#]{_PATH})?",
            f"(?://)?{_LABELS}{_SITES}(?::[0-9]{{2,5}})?/(?:{_PATH})?",
        ),
        before=_NO_NAME,
    ),
)
_BARE_SITE = (
    Pattern(
        (f"{_LABELS}(?:[Cc]om|org|net|edu|gov)(?:[.][a-z]{{2}})?",), before=_NO_NAME, after=f"$|[^{_LETTER}0-9@_-]"
    ),
)

_MAILBOX = f"[{_LETTER}0-9._%+-]{{1,64}}"
_EMAIL = (
    Pattern(
        (
            f"@?{_MAILBOX}@{_LABELS}[A-Za-z]{{2,24}}",
            f"{_MAILBOX} ?[\\[({{](?:at|AT|ät)[\\])}}] ?"
            "(?:[A-Za-z0-9-]{1,63}(?:[.]| ?[\\[({](?:dot|DOT|punkt)[\\])}] ?)){1,4}[A-Za-z]{2,24}",
            f"{_MAILBOX} at [A-Za-z0-9-]{{1,63}} dot (?:com|org|net|edu|de)[a-z]{{0,9}}",
        )
    ),
)

_USER = (
    Pattern(
        (
            f"@[{_LETTER}_][{_LETTER}0-9_]{{1,29}}(?:[.-][{_LETTER}0-9_]{{1,29}}){{0,4}}",
            "/?[Uu]/[A-Za-z0-9_-]{3,20}",
        ),
        before=f"^|[^{_LETTER}0-9@_/\\]-]",
    ),
)

_NAMED = "(?:[A-Z][A-Za-zÀ-ÿ'’.-]{0,24} |[0-9]{1,3}(?:st|nd|rd|th) ){1,4}"
_STREET = (
    "(?:Street|Avenue|Road|Boulevard|Lane|Terrace|Parkway|Highway|Crescent|(?:St|Ave|Rd|Blvd|Ln|Pkwy|Hwy)[.]?)"
    "(?: [NS]?[EW]| [NS])?"
)
_OTHER_STREET = "(?:Drive|Court|Place|Square|Way|Circle|Close|Gardens|Grove|Mews|Row|Walk|(?:Dr|Ct|Pl|Sq|Cir)[.]?)"
_UNIT = "(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|No|#)[.]? ?[0-9A-Za-z-]{1,6})?"
_TOWN = "[A-Z][A-Za-zÀ-ÿ.'-]{1,24}(?: [A-Z][A-Za-zÀ-ÿ.'-]{1,24}){0,2}"
_POSTCODE = "(?:[A-Z]{2},? [0-9]{5}(?:-[0-9]{4})?|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2})"
_IN_TOWN = f"(?:,? (?:{_TOWN},? )?{_POSTCODE})"
_TITLED = "[A-ZÄÖÜ][a-zäöüß]"
_OLD = "(?:Alte|Neue|Große|Kleine|Obere|Untere|Hintere|Vordere|Lange|Hohe)[nrs]?"
_WAY = "(?:Straße|Strasse|Str[.]|Allee|Platz|Weg|Ring|Damm|Ufer|Gasse)"
_JOINED_WAY = "(?:straße|strasse|str[.]|weg|allee|platz|gasse|damm|ufer|chaussee)"
_HOUSE = "[1-9][0-9]{0,2}(?: ?[a-h])?(?: ?[–/-] ?[1-9][0-9]{0,2}[a-h]?)?"
_PLACE = f"(?:,| in|,? -)? (?:D-|A-|CH-)?[0-9]{{4,5}} {_TOWN}"

_ADDRESS = (
    Pattern(
        (
            "(?:(?:Flat|Apartment|Unit) [0-9A-Za-z]{1,4},? )?"
            f"[1-9][0-9]{{0,4}}[A-Za-z]?(?:[–-][0-9]{{1,4}})?,? {_NAMED}"
            # what ends in Way or Place is an address with a number of two digits, or a town
            f"(?:{_STREET}{_UNIT}{_IN_TOWN}?|{_OTHER_STREET}{_UNIT}{_IN_TOWN})",
            f"[1-9][0-9]{{1,4}}[A-Za-z]? {_NAMED}{_OTHER_STREET}{_UNIT}",
            f"[1-9][0-9]{{0,4}} {_TOWN}, {_TOWN}, [A-Z]{{2}} [0-9]{{5}}",
            f"(?:{_OLD} )?(?:{_TITLED}{{1,24}}-){{0,3}}{_TITLED}{{1,24}}{_JOINED_WAY} {_HOUSE}(?:{_PLACE})?",
            f"(?:{_TITLED}{{3,24}}er|{_OLD}) {_WAY} {_HOUSE}(?:{_PLACE})?",
            f"(?:[A-ZÄÖÜ][a-zäöüß.]{{1,24}}-){{1,4}}{_WAY} {_HOUSE}(?:{_PLACE})?",
            f"{_TITLED}{{1,24}}(?:[ -]{_TITLED}{{1,24}}){{0,3}} {_HOUSE},? [0-9]{{5}} {_TOWN}",
            "(?:P[.]? ?O[.]? ?Box|PO BOX|Postfach) [0-9](?: ?[0-9]){0,7}",
        ),
        before=f"^|[^{_LETTER}0-9_$€£¥#.,/\\]-]",
        after=f"$|[^{_LETTER}0-9_]",
    ),
)

_GAP = "(?:[ \u00a0./–‑-]?[(]|[)][ \u00a0./–‑-]?|[ \u00a0./–‑-])"  # what may join two digits of one number
_DIGIT = f"(?:{_GAP}?[0-9])"

NUMBER = f"((?:[(][+]?[0-9]{{1,5}}[)][ \u00a0./–-]?|[+][(]?)?[0-9]{_DIGIT}{{0,60}}[{_LETTER}_]{{0,60}})"
"""A whole number as far as it goes, with letters that hang on to it: no phone number is a part of one."""

_SAID = (
    "(?:^|[^A-Za-z0-9])(?:[Tt]el(?:efon(?:nummer)?|ephone)?|TEL|[Pp]hone|PHONE|[Mm]obile?|[Cc]ell|[Hh]andy(?:nummer)?"
    "|[Ff]ax|[Ww]hats[Aa]pp|[Rr]ufnummer|[Nn]umber is|[Nn]ummer ist)"
    "(?: number| no[.]?| nr[.]?)?(?: is| ist)?[.:]{0,2} {0,2}"
)
_ASKED = "(?:^|[^A-Za-z0-9])(?:[Cc]all|[Tt]ext|[Rr]ing|[Rr]each|[Dd]ial)(?: me| us| him| her| them)? (?:at|on) "


def _numbers(*numbers: str) -> tuple[str, ...]:
    return tuple(f"{START}{number}{END}" for number in numbers)


_PHONE = (
    Pattern(
        _numbers(
            f"[(]?[+][(]?[1-9]{_DIGIT}{{7,14}}",
            f"[(]?00[1-9][0-9]{{0,2}}{_GAP}[0-9]{_DIGIT}{{6,12}}",
            "00[34][0-9]{9,12}",
            "(?:1[ .-]?)?(?:[(][2-9][0-9]{2}[)][ .-]?|[2-9][0-9]{2}[ ./-])[0-9]{3}[ .-][0-9]{4}",
            "[2-9][0-9]{5}-[0-9]{4}",
            f"[(]?0[1-9][0-9]{{1,4}}{_GAP}[0-9]{_DIGIT}{{4,8}}",
            f"[(]?0[1-9][0-9]{{1,4}}[)]?{END} [/–-] {START}[1-9]{_DIGIT}{{4,8}}",
            "0[1-9](?:[ .-][0-9]{2}){4}",
            "01[567][0-9]{8,9}",
            "07[0-9]{9}",
        ),
        before=f"^|[^{_LETTER}0-9_$€£¥#=\\]{END}-]",
    ),
    Pattern(_numbers(f"[(]?[0-9]{_DIGIT}{{5,14}}"), before=_SAID),
    Pattern(_numbers("[2-9][0-9]{2}[ .-][0-9]{4}"), before=_ASKED),
)

STEPS = (
    Kind("url", "[URL]", _URL),
    Kind("email", "[EMAIL]", _EMAIL),
    Kind("url", "[URL]", _BARE_SITE),
    Kind("user", "[USER]", _USER),
    Kind("address", "[ADDRESS]", _ADDRESS),
    Kind("phone", "[PHONE]", _PHONE),
)
"""In this order: a URL may hold an e-mail address, that a site, and the number of a house belongs to no phone."""

PLACEHOLDERS = {step.name: step.placeholder for step in STEPS}
"""What is written for each kind."""

ANY = "[0-9@/]|[.](?:[Cc]om|org|net|edu|gov)|[Ww][Ww][Ww][.]|[\\[({](?:at|AT|ät)[\\])}]| dot "
"""Every text with a spot matches this; a text that does not is left alone at once."""


def replacements(step: Kind) -> Iterator[str]:
    """The expressions of a step, in the order in which they are applied."""
    for pattern in step.patterns:
        yield from [pattern.regex] * pattern.passes


def scrub_text(text: str) -> str:
    """Put typed placeholders in the place of what is personal: the slow twin of `privacy.scrub`.

    Example:
        >>> scrub_text("Ask @jo or jo@example.org, +49 30 1234567; it was 1999-2005 and 10,000 people.")
        'Ask [USER] or [EMAIL], [PHONE]; it was 1999-2005 and 10,000 people.'
    """
    text = re.sub(MARKS, "", text)
    for step in STEPS:
        if step.name == "phone":
            text = re.sub(NUMBER, rf"{START}\g<1>{END}", text)
        for regex in replacements(step):
            text = re.sub(regex, rf"\g<1>{step.placeholder}\g<2>", text)
    return re.sub(MARKS, "", text)


def count_hits(text: str) -> dict[str, int]:
    """How many spots of each kind `scrub_text` replaces.

    Example:
        >>> count_hits("Ask @jo or u/mary99.")
        {'url': 0, 'email': 0, 'user': 2, 'address': 0, 'phone': 0}
    """
    clean = scrub_text(text)
    return {name: clean.count(placeholder) - text.count(placeholder) for name, placeholder in PLACEHOLDERS.items()}

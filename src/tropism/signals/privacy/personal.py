"""Patterns of personal data that RE2 (DuckDB), Java (Spark) and Python match alike, and the same redaction in Python.

The patterns use only what the three engines share: no look-around, no `\\b`, `\\w`, `\\s` or dot, which match
different characters in each, and no unbounded repeated group, so that no text makes matching slow. Required context
around a match is captured in groups and written back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

START, END, OPEN, SHUT, KEEP = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"
"""Unicode noncharacters, removed from the text first. They mark the ends of numbers during the search for phone
numbers, enclose the group's number in `redaction.scrub`, and split text that must not be replaced."""

MARKS = f"[{START}{END}{OPEN}{SHUT}{KEEP}]"


class ContextPattern(NamedTuple):
    """Alternatives of a match with the required context before and after it; none may have a capturing group."""

    spots: tuple[str, ...]
    before: str = ""
    after: str = ""

    @property
    def regex(self) -> str:
        """The whole expression; group 1 is the context before the match, group 2 the context after it."""
        return f"({self.before})(?:{'|'.join(self.spots)})({self.after})"

    @property
    def passes(self) -> int:
        """How often it is applied: adjacent matches share one character of context, so one pass misses the second."""
        return 2 if self.before and self.after else 1


class RedactionStep(NamedTuple):
    """One kind of personal data: its patterns and its placeholder.

    Before the search, `KEEP` is inserted between the two parts of each pair in `kept`, so that text which only
    looks like this kind or a later one does not match.
    """

    name: str
    placeholder: str
    patterns: tuple[ContextPattern, ...]
    kept: tuple[tuple[str, str], ...] = ()


_LETTER = "A-Za-zÀ-\u1fff"  # for use in brackets; a range beyond ASCII, because engines' character classes differ
_NO_NAME = f"^|[^{_LETTER}0-9@._/\\]{KEEP}-]"
_WORD_ENDS = f"$|[^{_LETTER}0-9_-]"

_PATH = f"[{_LETTER}0-9!#$%&'(*+,./:;=?@_~-]*[{_LETTER}0-9#$%&(*+/=@_~-]"  # without trailing punctuation
_LABELS = "(?:[A-Za-z0-9-]{1,63}[.]){1,4}"
_SITES = "(?:com|org|net|edu|gov|info|io|co|me|tv|gg|ly|be|it|de|at|ch|fr|nl|es|eu|uk|us|ca|au|in|ai|app|dev)"
_BARE = "(?:[Cc]om|COM|org|net|edu|gov|de|ch|eu|fr|nl|ru|uk)"  # without endings of words or members: at, me, io, info

_URL = (
    ContextPattern((f"[A-Za-z][A-Za-z0-9+.-]{{1,15}}://{_PATH}", f"[Hh][Tt][Tt][Pp][Ss]? ?: ?// ?{_PATH}")),
    ContextPattern(
        (
            f"[Ww][Ww][Ww][.]{_LABELS}[A-Za-z]{{2,24}}(?:[:/?#]{_PATH})?",
            f"(?://)?{_LABELS}{_SITES}(?::[0-9]{{2,5}})?/(?:{_PATH})?",
            f"(?:git|hg)@{_LABELS}[a-z]{{2,24}}:{_PATH}",
        ),
        before=_NO_NAME,
    ),
)
_BARE_SITE = (ContextPattern((f"{_LABELS}{_BARE}(?:[.][a-z]{{2}})?",), before=_NO_NAME, after=f"$|[^{_LETTER}0-9@_-]"),)

_MAILBOX = f"[{_LETTER}0-9._%+-]{{1,64}}"
_NO_MAILBOX = f"(?:^|[^{_LETTER}0-9@._%+/\\]-])"
_DOMAIN = f"(?:[{_LETTER}0-9-]{{1,63}}[.]){{1,4}}[{_LETTER}]{{2,24}}"
_AT = " ?[\\[({<](?:[Aa]t|AT|ät|@)[\\])}>] ?"
_DOT = "(?:[.]| ?[\\[({<](?:[Dd]ot|DOT|[Pp]unkt)[\\])}>] ?)"
_MAILER = (
    "(?:[Gg]mail|GMAIL|[Gg]oogle[Mm]ail|[Hh]otmail|HOTMAIL|[Yy]ahoo|YAHOO|[Oo]utlook|i[Cc]loud|[Aa]ol|AOL|[Gg]mx|GMX"
    "|[Pp]roton[Mm]ail|[Pp]osteo)"
)
_NOTHING_ELSE = "(?:gmail|googlemail|hotmail|gmx|protonmail|posteo)"  # unambiguous mail services
_HANDLE = f"[{_LETTER}][{_LETTER}0-9]{{1,20}}[._0-9][{_LETTER}0-9._-]{{0,20}}[{_LETTER}0-9_]"
"""A name with a digit, an underscore or an inner dot, so not a plain word."""

_EMAIL = (
    ContextPattern(
        (
            f"@?(?:[ODod]['’])?{_MAILBOX}(?:[@＠](?:{_DOMAIN}|\\[?[0-9]{{1,3}}(?:[.][0-9]{{1,3}}){{3}}\\]?)"
            f"|{_AT}(?:[A-Za-z0-9-]{{1,63}}{_DOT}){{1,4}}[A-Za-z]{{2,24}})",
            f"(?:{_MAILBOX} (?:dot|DOT) )?{_MAILBOX} (?:at|AT) [A-Za-z0-9-]{{1,63}}"
            " (?:dot (?:com|org|net|edu|de)[a-z]{0,9}|DOT (?:COM|com|ORG|org|NET|net|EDU|edu|DE|de))",
        )
    ),
    ContextPattern(
        (
            f"{_MAILBOX}(?: ?[@＠] ?{_LABELS}(?:com|org|net|edu|gov|info|io|de|ch|eu|fr|nl|uk|ca|au)"
            f"|[@＠]{_MAILER}(?:[,;] ?[a-z]{{2,3}})?| (?:at|AT) {_MAILER}[.,] ?(?:com|COM|net|de|co[.]uk)"
            f"| at {_NOTHING_ELSE})",
        ),
        after=_WORD_ENDS,
    ),
)

_CODE_WORDS = (
    "(?:property|(?:static|class|abstract)method|(?:data)?class|cached_property|contextmanager|lru_cache|overload|override"
    "|wraps|n?jit|fixture|[a-z_]{1,30}[.](?:setter|getter|deleter)|pytest[.][a-z_.]{1,30}|functools[.][a-z_]{1,30}"
    "|Override|Test|Before|After|BeforeEach|AfterEach|Deprecated|SuppressWarnings|FunctionalInterface|Nullable|NonNull"
    "|NotNull|Autowired|Bean|Component|Configuration|Controller|Entity|Inject|Injectable|Input|Output|NgModule"
    "|Repository|RequestBody|RequestMapping|RestController|Service|SpringBootApplication|Transactional"
    "|IBAction|IBOutlet|MainActor|Published|State|escaping|implementation|interface|objc|selector|synthesize"
    "|param|returns?|throws|since|deprecated|brief|typedef|inherit[dD]oc|ts-ignore|todo"
    "|media|import|include|mixin|extend|keyframes|font-face|charset|supports|tailwind|apply"
    "|if|else|endif|foreach|endforeach|section|endsection|csrf"
    "|(?:angular|aws-sdk|babel|emotion|eslint|google-cloud|ionic|mui|nestjs|ngrx|prisma|reduxjs|storybook|tanstack"
    "|testing-library|types|typescript-eslint|vitejs|vue)/[a-z0-9._-]{1,40})"
)
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]{0,40}"
_TYPED = "[A-Za-z_][A-Za-z0-9_<>,?.\\[\\]]{0,40}"
_DEFINITION = (
    f"(?:(?:async )?def {_IDENTIFIER}[(]|class {_IDENTIFIER}(?:[(:{{]| [{{]| (?:extends|implements) [A-Z])"
    f"|(?:public|private|protected) (?:{_TYPED} ){{0,8}}{_TYPED}(?:[(]| ?[{{]| = ))"
)
"""What follows a decorator; a keyword alone also occurs in prose ("class is at 5", "public opinion says")."""
_NETWORK = (
    "(?:[Ii]nsta(?:gram)?|IG|[Ss]kype|[Dd]iscord|[Tt]elegram|[Ss]nap(?:chat)?|[Tt]witter|[Tt]ik[Tt]ok|[Kk]ik|[Ss]team"
    "|[Tt]witch|[Ff]acebook|[Uu]sername|[Gg]amertag)"
)
_USER = (
    ContextPattern(
        (
            f"[@＠][{_LETTER}_][{_LETTER}0-9_]{{1,29}}(?:[.-][{_LETTER}0-9_]{{1,29}}){{0,4}}",
            "/?[Uu]/[A-Za-z0-9_-]{3,20}",
        ),
        before=f"^|[^{_LETTER}0-9@_/\\]-]",
    ),
    ContextPattern((f"[{_LETTER}][{_LETTER}0-9_]{{2,31}}#[0-9]{{4}}",), before=_NO_NAME, after=f"$|[^{_LETTER}0-9_]"),
    ContextPattern((_HANDLE,), before=f"(?:^|[^{_LETTER}0-9_])(?:{_NETWORK}(?: ?: ?| is )|by user )"),
)

_NAMED = "(?:[A-Z][A-Za-zÀ-ÿ'’.-]{0,24} |[0-9]{1,3}(?:st|nd|rd|th) ){1,4}"
_STREET = (
    "(?:Street|Avenue|Road|Boulevard|Lane|Terrace|Parkway|Highway|Crescent|(?:St|Ave|Rd|Blvd|Ln|Pkwy|Hwy)[.]?)"
    "(?: [NS]?[EW]| [NS])?"
)
_OTHER_STREET_WORD = "(?:Drive|Court|Place|Square|Way|Circle|Close|Gardens|Grove|Mews|Row|Walk)"
_OTHER_STREET = f"(?:{_OTHER_STREET_WORD}|(?:Dr|Ct|Pl|Sq|Cir)[.]?)"
_COMMON_STREET = (
    "(?:(?:[NSEWnsew][.]?|north|south|east|west) )?(?:[Mm]ain|[Oo]ak|[Mm]aple|[Ee]lm|[Pp]ine|[Cc]edar|[Ww]alnut|[Pp]ark"
    "|[Cc]hurch|[Hh]igh|[Mm]ill|[Hh]ill|[Ll]ake|[Ss]pring|[Ss]tation|[Ss]unset|[Ww]ashington|[Ll]incoln|[Vv]ictoria|[0-9]{1,3}(?:st|nd|rd|th))"
    " (?:street|avenue|road|lane|drive|boulevard|(?:st|ave|rd|ln|dr|blvd)[.]?)"
)
_FRENCH = (
    "[1-9][0-9]{0,3}(?: ?bis| ?ter)?,? (?:(?:[Rr]ue|[Bb]oulevard|[Cc]hemin|[Ii]mpasse|[Qq]uai|[Aa]llée|[Aa]venue)"
    " (?:de la |des? |du |de l['’]|d['’])?|[Pp]lace (?:de la |des? |du ))[A-ZÀ-Ö][A-Za-zÀ-ÿ'’-]{1,24}"
    "(?:[ -][A-ZÀ-Ö][A-Za-zÀ-ÿ'’-]{1,24}){0,3}(?:,? [0-9]{5} [A-ZÀ-Ö][A-Za-zÀ-ÿ-]{1,24})?"
)
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
_AT_THE = f"(?:Unter|Am|An|Auf|Im|In|Zu[mr]|Hinter|Vor)(?: de[mnr])?(?: {_TITLED}{{1,24}}){{1,2}}"

_ADDRESS = (
    ContextPattern(
        (
            "(?:(?:Flat|Apartment|Unit) [0-9A-Za-z]{1,4},? )?"
            f"[1-9][0-9]{{0,4}}[A-Za-z]?(?:[–-][0-9]{{1,4}})?,? {_NAMED}"
            # endings such as Way or Place need a number of two digits, or a town
            f"(?:{_STREET}{_UNIT}{_IN_TOWN}?|{_OTHER_STREET}{_UNIT}{_IN_TOWN})",
            f"[1-9][0-9]{{1,4}}[A-Za-z]? {_NAMED}{_OTHER_STREET}{_UNIT}",
            f"[1-9][0-9]{{1,4}}[A-Za-z]? {_COMMON_STREET}",
            "[1-9][0-9]{2,4} (?:(?:State|County) )?(?:Highway|Route|Road) [0-9]{1,4}",
            f"(?:[1-9][0-9]{{0,4}}|One|Two|Three|Four|Five|Six|Seven|Eight) {_TOWN}, {_TOWN}, [A-Z]{{2}} [0-9]{{5}}",
            _FRENCH,
            f"(?:{_OLD} )?(?:{_TITLED}{{1,24}}-){{0,3}}{_TITLED}{{1,24}}(?:{_JOINED_WAY} |str[.]){_HOUSE}(?:{_PLACE})?",
            f"[a-zäöüß-]{{3,24}}(?:straße|strasse|str[.]) ?{_HOUSE}(?:{_PLACE})?",
            f"{_WAY} (?:der|des) (?:[0-9]{{1,2}}[.] )?{_TITLED}{{1,24}} {_HOUSE}(?:{_PLACE})?",
            f"(?:{_TITLED}{{3,24}}er|{_OLD}) {_WAY} {_HOUSE}(?:{_PLACE})?",
            f"(?:[A-ZÄÖÜ][a-zäöüß.]{{1,24}}-){{1,4}}{_WAY} {_HOUSE}(?:{_PLACE})?",
            f"{_TITLED}{{1,24}}(?:[ -]{_TITLED}{{1,24}}){{0,3}} {_HOUSE},? [0-9]{{5}} {_TOWN}",
            f"{_AT_THE} {_HOUSE},? [0-9]{{5}} {_TOWN}",
            f"(?:D-)?[0-9]{{5}} {_TITLED}{{1,24}}, {_AT_THE} {_HOUSE}",
            "(?:P[.]? ?O[.]? ?Box|PO BOX|Postfach) [0-9](?: ?[0-9]){0,7}",
        ),
        before=f"^|[^{_LETTER}0-9_$€£¥#.,/\\]-]",
        after=f"$|[^{_LETTER}0-9_]",
    ),
)

_GAP = "(?:[ \u00a0./–‑-]?[(]|[)][ \u00a0./–‑-]?|[ \u00a0./–‑-])"  # what may join two digits of one number
_JOIN = "[ \u00a0.–‑-]"
_DIGIT = f"(?:{_GAP}?[0-9])"

NUMBER = f"((?:[(][+]?[0-9]{{1,5}}[)][ \u00a0./–-]?|[+][(]?)?[0-9]{_DIGIT}{{0,60}}[{_LETTER}_]{{0,60}})"
"""A maximal number with adjoining letters; a phone number is never part of one."""

_SAID = (
    "(?:^|[^A-Za-z0-9])(?:[Tt]el(?:efon(?:nummer)?|ephone)?|TEL|[Pp]hone|PHONE|[Mm]obile?|[Cc]ell|[Hh]andy(?:nummer)?"
    "|[Ff]ax|[Ww]hats[Aa]pp|[Rr]ufnummer|[Nn]umber is|[Nn]ummer ist|[Pp]h[.:]|[Mm]obil(?:nummer)?)"
    f"(?: number| no[.]?| nr[.]?| ?{KEEP}?#)?(?: is| ist)?[.:]{{0,2}} {{0,2}}"
)
_ASKED = (
    f"(?:^|[^A-Za-z0-9])(?:[Cc]all|[Tt]ext|[Rr]ing|[Rr]each|[Dd]ial)(?: me| us| him| her| them)? {KEEP}?(?:at |on )?"
)
_NO_NUMBER = f"^|[^{_LETTER}0-9_$€£¥#=\\]{END}-]"
_SAID_AFTER = (
    " (?:is|ist) (?:my|our|his|her|meine|unsere) (?:new |neue )?(?:[Nn]umber|cell|phone|mobile|[Nn]ummer|Handy)"
)


def _numbers(*numbers: str) -> tuple[str, ...]:
    return tuple(f"{START}{number}{END}" for number in numbers)


_PHONE = (
    ContextPattern(
        _numbers(
            f"[(]?[+][(]?[1-9]{_DIGIT}{{7,14}}",
            f"[(]?00[1-9][0-9]{{0,2}}{_GAP}[0-9]{_DIGIT}{{6,12}}",
            "00[34][0-9]{9,12}",
            f"(?:1{_JOIN}?)?(?:[(][2-9][0-9]{{2}}[)]{_JOIN}?|[2-9][0-9]{{2}}(?:{_JOIN}|/))[0-9]{{3}}{_JOIN}[0-9]{{4}}",
            "[2-9][0-9]{5}-[0-9]{4}",
            # with dashes only: three or four numbers between blanks may be a table row
            "[2-9][0-9]{2}[ –‑-][0-9]{3}[–‑-][0-9]{2}[–‑-][0-9]{2}",
            f"[(]?0[1-9][0-9]{{1,4}}{_GAP}[0-9]{_DIGIT}{{4,8}}",
            f"[(]?0[1-9][0-9]{{1,4}}[)]?{END} [/–-] {START}[1-9]{_DIGIT}{{4,8}}",
            "0[1-9](?:[ .-][0-9]{2}){4}",
            "01[567][0-9]{8,9}",
            "07[0-9]{9}",
        ),
        before=_NO_NUMBER,
    ),
    ContextPattern(_numbers(f"[(]?[0-9]{_DIGIT}{{5,14}}"), before=_SAID),
    ContextPattern(_numbers(f"[2-9][0-9]{{2}}{_JOIN}(?:[0-9]{{3}}{_JOIN})?[0-9]{{4}}", "[2-9][0-9]{9}"), before=_ASKED),
    ContextPattern(_numbers(f"[(]?[0-9]{_DIGIT}{{5,14}}"), before=_NO_NUMBER, after=_SAID_AFTER),
)

_BEFORE_AT = (
    "(?:[Mm]e|[Uu]s|[Ii]t|[Yy]ou|[Hh]im|[Tt]hem|[Ii]n|[Oo]n|[Uu]p|[Oo]ut|[Ii]s|[Aa]re|[Ww]as|[Nn]ow|[Hh]ere|[Ll]ook"
    "|[Ww]ork|[Aa]ccounts?|[Aa]ddress|[Ee]-?mails?|[Mm]ail|[Oo]nline|[Aa]vailable)"
)
_BEFORE_NUMBER_SIGN = "(?:[Ii]ssue|[Bb]ug|PR|[Oo]rder|[Tt]icket|[Ii]tem|[Rr]oom|[Cc]ase|[Ii]nvoice|[Pp]art)"
_SIZE = (
    "(?:Step|Great|Best|Good|Miles?|Questions?|Hours?|Minutes?|Days?|Weeks?|Months?|Years?|Ways|Percent|Points?|Stars?"
    "|(?:[GMTgmt][Bb]|Inch|Volt|Bit)(?: [A-Z][A-Za-z]{1,20})?)"
)
_KEPT = (
    (f"{_NO_MAILBOX}(?:git|hg)@", f"{_LABELS}[a-z]{{2,24}}"),
    (
        f"{_NO_MAILBOX}(?:@|{_BEFORE_AT} |{_BEFORE_NUMBER_SIGN})",
        "(?:(?:at|AT|@) |#[0-9]"
        f"|{_CODE_WORDS}(?:$|[^{_LETTER}0-9@_.-]|[.](?:$|[^{_LETTER}0-9]))"
        "|[A-Za-z_][A-Za-z0-9_.]{0,60}(?:[(](?:[\"')\\[{]|[A-Za-z_]{1,30} ?=)"
        f"|\r?\n[ \t]{{0,20}}{_DEFINITION}))",
    ),
    (
        "[0-9] | dot ",
        f"{_SIZE} {_OTHER_STREET_WORD}(?:$|[^{_LETTER},])"
        f"|com (?:boom|bubble|bust|companies|company|crash|era)(?:$|[^{_LETTER}0-9@_-])",
    ),
    (
        f"(?:{_NO_NAME})(?:[Aa]sp|[Vv]b|[Aa]do|[Mm]l|[Jj]son|[Pp]aint|java|self|this|args|config)[.]"
        "|(?:^|[^A-Za-zÀ-ÿ-])(?:(?:Stell|Park|Arbeits|Sitz|Steh|Lager|Start|Listen|Tabellen|Studien)platz"
        "|(?:Um|Rück|Aus|Hin|Lösungs|Rechts)weg) ",
        f"(?:net|com|org|de)(?:$|[^{_LETTER}0-9@_/-])|[0-9]",
    ),
)
"""Exceptions: code (`@property`, `git@github.com`, `asp.net`), words before `at`, sizes, parking places. At most four
pairs, because RE2 has at most nine numbered groups."""

STEPS = (
    RedactionStep("url", "[URL]", _URL),
    RedactionStep("email", "[EMAIL]", _EMAIL, kept=_KEPT),
    RedactionStep("url", "[URL]", _BARE_SITE),
    RedactionStep("user", "[USER]", _USER),
    RedactionStep("address", "[ADDRESS]", _ADDRESS),
    RedactionStep("phone", "[PHONE]", _PHONE),
)
"""In this order, because a URL may contain an e-mail address, that a site, and an address a number."""

PLACEHOLDERS = {step.name: step.placeholder for step in STEPS}
"""The placeholder of each kind."""

ANY = f"[0-9@＠/]|[.]{_BARE}|[Ww][Ww][Ww][.]|{_AT}| dot | DOT | (?:at|AT) {_MAILER}|{_NETWORK}|by user "
"""A cheap test: a text that does not match contains no personal data that the steps find."""


def replacements(step: RedactionStep) -> Iterator[tuple[str, str]]:
    """A step's expressions in order, each with a template in which {1} is a group."""
    if step.kept:
        firsts = [2 * row + 1 for row in range(len(step.kept))]  # an unmatched group is empty
        template = "".join(f"{{{row}}}" for row in firsts) + KEEP + "".join(f"{{{row + 1}}}" for row in firsts)
        # twice, because adjacent decorators share the line break between them
        yield from [("|".join(f"({left})({right})" for left, right in step.kept), template)] * 2
    if step.name == "phone":
        yield NUMBER, f"{START}{{1}}{END}"
    for pattern in step.patterns:
        yield from [(pattern.regex, f"{{1}}{step.placeholder}{{2}}")] * pattern.passes


def scrub_text(text: str) -> str:
    """Replace personal data with typed placeholders; the Python equivalent of `redaction.scrub`.

    Example:
        >>> scrub_text("Ask @jo or jo@example.org, +49 30 1234567; it was 1999-2005 and 10,000 people.")
        'Ask [USER] or [EMAIL], [PHONE]; it was 1999-2005 and 10,000 people.'
    """
    text = re.sub(MARKS, "", text)
    for step in STEPS:
        for regex, template in replacements(step):
            text = re.sub(regex, re.sub("[{]([0-9])[}]", r"\\g<\1>", template), text)
    return re.sub(MARKS, "", text)


def count_hits(text: str) -> dict[str, int]:
    """The number of matches of each kind that `scrub_text` replaces.

    Example:
        >>> count_hits("Ask @jo or u/mary99.")
        {'url': 0, 'email': 0, 'user': 2, 'address': 0, 'phone': 0}
    """
    clean = scrub_text(text)
    return {name: clean.count(placeholder) - text.count(placeholder) for name, placeholder in PLACEHOLDERS.items()}

# ruff: noqa: E501, PLR0911 - tables of words, one return for each kind
"""Letters of choices: which one does a text name?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from dfgen.grade.characters import fold_characters
from dfgen.grade.latex_text import to_plain_text

LATIN = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
CYRILLIC = tuple("АБВГДЕЖЗИК")
_NOUN = (
    r"(?:(?:the|die|la|le|el)\s)?(?:(?:correct|right|final|richtige|correcte|correcta)\s)?"
    r"(?:option|choice|answer|alternative|candidate|figure|letter|opción|opzione|opção|réponse"
    r"|antwort|möglichkeit|variante?|варіант|вариант|відповідь|ответ|选项|選項|选择|選択肢|보기)"
)
_WORD = re.compile(r"[^\W\d_]+")
_CLAUSE_END = re.compile(
    r"(?:[.!?](?=\s|$)|[\n;。！？；，])|(?P<word>,\s(?=(?:so|therefore|thus|hence|but|leaving|while|whereas|and so|which leaves|making)\b)"
    r"|\s(?=(?:because|since|whereas|but|as|while|weil|denn|бо|так как)\s))"
)
_INSTEAD = re.compile(
    r",?\s\W{0,3}(?:not|rather than|instead of|nicht|не)\s\W{0,4}(?:option\s|choice\s)?[A-Z]\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?<!\w)(?:not|n't|wrong|incorrect|false|eliminate[ds]?|ruled? out|is out|are out|excluded?|impossible|cannot|too (?:small|big|large|long|short|high|low|many|few)"
    r"|doesn't|isn't|never|invalid|unlikely|unrelated|irrelevant|nicht|falsch|не|неверн\w+|неправильн\w+|considered|tempting|mismatch\w*|contradicts?|fails?)(?!\w)|不对|错|不是|不符|排除|不正确",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"(?<!\w)(?:so|therefore|thus|hence|must be|choose|chose|pick|select|go(?:ing)? with|left with|leaves|leaving|answer|correct|right|best|only|fits|matches|final|conclude|also|donc|отже|значит|поэтому)(?!\w)|所以|选|因此|正确|故",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"I\s(?:would\s|will\s|'d\s|'ll\s)?(?:choose|pick|select|go with|say|think it is|believe it is|answer)\s+",
    re.IGNORECASE,
)
_SPEAKS = re.compile(r"(?:\s|'[a-z])\s?[a-z]")
_REASON = re.compile(
    r"\W{0,4}(?:because|since|as|while|whereas|weil|denn|бо|так как|因为)(?!\w)", re.I
)
_LAST_WORDS = 300
_LABEL_ONLY = re.compile(r"[\s*(\[]{0,6}[A-ZА-Я]")
_VERB = re.compile(r"\s(?:is|fits|matches|works|must|holds|seems|looks|would|was|and|or)\b")
_CONNECTORS = frozenset(
    {"and", "or", "und", "oder", "et", "ou", "y", "e", "та", "і", "и", "або", "или", "options"}
    | {"option", "choices", "choice", "both", "和", "と"}
)


class Label(NamedTuple):
    """Indices of the named choices, and whether the text names them beyond doubt."""

    indices: tuple[int, ...]
    certain: bool


class _Patterns(NamedTuple):
    whole: re.Pattern[str]
    led: re.Pattern[str]
    noun: re.Pattern[str]
    weak: re.Pattern[str]
    first: re.Pattern[str]
    mentions: re.Pattern[str]
    leading: re.Pattern[str]
    bare: re.Pattern[str]


def choose_labels(answer: str, count: int) -> tuple[str, ...]:
    """Return the letters of `count` choices, in the alphabet that the reference answer uses.

    Without choices the letters A to J are possible.
    """
    bare = answer.strip().strip("().").upper()
    alphabet = CYRILLIC if bare and all(letter in CYRILLIC for letter in bare) else LATIN
    return alphabet[: count or 10]


@lru_cache(maxsize=64)
def _compile(labels: tuple[str, ...]) -> _Patterns:
    upper = "".join(labels)
    either = upper + upper.lower()
    close = r"[)\]】』]"
    return _Patterns(
        whole=re.compile(rf"\W*(?:(?i:{_NOUN})\W{{0,4}})?[(\[]?\s?([{either}])\s?[)\]]?\W*"),
        led=re.compile(
            rf"\W{{0,3}}(?:[(\[]\s?([{either}])\s?{close}|([{either}]){close}|([{upper}])\s?(?:[.:：、,–—]|(?<=\s)-(?=\s)|(?<=\s)(?=\(\w{{2}})))"
        ),
        noun=re.compile(rf"\W{{0,3}}(?i:{_NOUN})\W{{0,4}}([{either}])(?![A-Za-z0-9_])"),
        weak=re.compile(rf"\W{{0,3}}([{upper}])(?=\s)"),
        first=re.compile(rf"\s{{0,8}}[(*\[]{{0,3}}([{upper}])(?:[)\].:：]|\*\*)(?!\w)"),
        mentions=re.compile(
            rf"[(（]\s?([{upper}])\s?[)）]|\*\*\(?([{upper}])[).]?\*\*|(?i:{_NOUN})\W{{0,4}}([{upper}])(?!\w)"
            rf"|^\s{{0,8}}([{upper}])[.)]?\s{{0,8}}$|\\text(?:bf)?\{{\(?([{upper}])\)?\}}",
            re.MULTILINE,
        ),
        leading=re.compile(
            rf"(?:^|(?<=[\n.!?])\s{{1,4}})[*(\[]{{0,3}}([{upper}])[*)\]]{{0,3}}[.:)：](?=\s)",
            re.MULTILINE,
        ),
        bare=re.compile(
            rf"(?<![A-Za-z0-9\u0400-\u04ff'’.^_\\{{])([{upper}])(?![\w'’^_(={{])(?!\s?[=+*/<>-])"
        ),
    )


def read_label(text: str, labels: Sequence[str]) -> Label | None:
    """Return which of `labels` a stated answer names, None when it names none.

    "(B)", "b", "option B" and "B. seven" are certain; "B because" is not, nor is "A square",
    in which the letter may be an article. Several letters give several indices.
    """
    if not labels or not text or len(text) > 2000:
        return None
    known = tuple(labels)
    patterns = _compile(known)
    plain = fold_characters(to_plain_text(text))
    if match := patterns.whole.fullmatch(plain):
        return Label((known.index(match[1].upper()),), True)
    stop = _INSTEAD.search(plain)
    if stop and re.search(r"[^\W_]", plain[: stop.start()]):
        plain = plain[: stop.start()].strip()  # "B, not C"
        if match := patterns.whole.fullmatch(plain):
            return Label((known.index(match[1].upper()),), True)
    joined = re.fullmatch(r"\W*([A-Z]{2,10})\W*", plain)
    if (
        joined
        and len(known) < len(LATIN)
        and all(letter in known for letter in joined[1])
        and sorted(set(joined[1])) == list(joined[1])
    ):
        return Label(tuple(known.index(letter) for letter in joined[1]), True)
    words = _WORD.findall(plain)
    letters = [word for word in words if len(word) == 1 and word.upper() in known]
    if (
        len(letters) > 1
        and all(word in letters or word.casefold() in _CONNECTORS for word in words)
        and not re.search(r"[\d=+\\^]", plain)
    ):
        return Label(tuple(sorted({known.index(word.upper()) for word in letters})), True)
    speaker = _SPEAKER.match(plain)
    if speaker:
        plain = plain[speaker.end() :]
        if match := patterns.whole.fullmatch(plain):  # "I choose A."
            return Label((known.index(match[1].upper()),), True)
    for pattern, certain in ((patterns.led, True), (patterns.noun, True), (patterns.weak, False)):
        if match := pattern.match(plain):
            letter = next(filter(None, match.groups()))
            if letter == "I" and _SPEAKS.match(plain, match.end()):
                continue  # "I think"
            return Label((known.index(letter.upper()),), certain)
    return None


def find_last_label(completion: str, start: int, labels: Sequence[str]) -> tuple[int, int] | None:
    """Return the offsets of the letter that a text without a stated answer settles on.

    A text that begins with "B." or "(B)" answers there, unless it goes on to discuss other letters.
    Else the clauses are read: what is called wrong does not count, "so", "must be" and "correct"
    count most, then the last "(B)", "option B" or "**B**", and at last a lone capital letter that
    is no article.
    """
    if not labels:
        return None
    patterns = _compile(tuple(labels))
    first = patterns.first.match(completion, start)
    clauses = _list_clauses(completion, start, patterns)
    if first is not None and not any(
        clause.strong and clause.letter != first[1] and clause.start > first.end()
        for clause in clauses
    ):
        return first.span(1)
    for wanted in (
        [
            clause
            for clause in clauses
            if clause.concludes and not clause.denied and _counts(clause, completion)
        ],
        [clause for clause in clauses if clause.strong and not clause.denied],
        [clause for clause in clauses if not clause.denied and _counts(clause, completion)],
    ):
        if wanted:
            return wanted[-1].start, wanted[-1].start + 1
    return None


def _counts(clause: _Clause, completion: str) -> bool:
    """A bare letter in the middle of a text is the name of a point or a person."""
    return clause.strong or clause.start > len(completion) - _LAST_WORDS


class _Clause(NamedTuple):
    """The letter of one clause that names just one."""

    letter: str
    start: int
    strong: bool
    concludes: bool
    denied: bool


def _list_clauses(completion: str, start: int, patterns: _Patterns) -> list[_Clause]:
    clauses = []
    position = start
    for cut in [*_CLAUSE_END.finditer(completion, start), None]:
        end = len(completion) if cut is None else cut.start()
        if cut is not None and cut[0] == "." and _LABEL_ONLY.fullmatch(completion, position, end):
            continue  # "A. The cat": the mark of a letter, no end
        if end > position:
            clause = _read_clause(completion, position, end, patterns)
            if clause is not None:
                clauses.append(clause)
        position = end if cut is None or cut.end() == cut.start() or cut["word"] else cut.end()
    return clauses


def _read_clause(completion: str, begin: int, end: int, patterns: _Patterns) -> _Clause | None:
    stop = _INSTEAD.search(completion, begin, end)
    end = stop.start() if stop and stop.start() > begin + 1 else end
    found: dict[str, tuple[int, bool]] = {}
    for pattern, strong in (
        (patterns.mentions, True),
        (patterns.leading, True),
        (patterns.bare, False),
    ):
        for match in pattern.finditer(completion, begin, end):
            group = next(number for number, letter in enumerate(match.groups(), 1) if letter)
            place, letter = match.start(group), match[group]
            following = completion[place + 1 : place + 3]
            if (
                not strong
                and letter in "AI"
                and following[:1].isspace()
                and following[1:].islower()
            ) and not _VERB.match(completion, place + 1, end):
                continue  # an article, or the speaker
            if letter not in found:
                found[letter] = (place, strong)
            if len(found) > 1:
                break
        if len(found) > 1:
            break
    text = completion[begin:end]
    if len(found) != 1:
        return None
    letter, (place, strong) = next(iter(found.items()))
    reason = begin > 0 and _REASON.match(text)  # "D, since C is in Italy"
    denied = bool(reason) or _DENIED.search(text) is not None
    return _Clause(letter, place, strong, _CONCLUDES.search(text) is not None, denied)

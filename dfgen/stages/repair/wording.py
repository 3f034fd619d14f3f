"""Finds new words that an answer must not hold: talk about the repair, other languages, signs."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

_META = re.compile(
    r"\b(?:original|previous|student'?s?|incorrect|initial|above) "
    r"(?:answer|solution|reasoning|response|attempt|text|statement|claim|count)\b"
    r"|\b(?:reference|gold|expected|provided) (?:answer|solution)\b"
    r"|\bas an AI\b|\bI (?:have )?(?:corrected|fixed|edited|revised)\b|\bI apologi[sz]e\b"
    r"|\b(?:my|the|a|this) (?:earlier )?(?:mistake|error) (?:was|is|here|in|above)\b"
    r"|\b(?:correction|corrected(?: answer| version)?|edited?|fixed)\s*[:\]]"
    r"|\b(?:instead of|rather than) (?:the )?(?:original|previous|incorrect|wrong)\b"
    r"|\bupon (?:re-?(?:checking|examination|examining)|closer (?:look|inspection)|review)\b"
    r"|\bon second thought\b|\blooking (?:once more|again|closer)\b"
    r"|</?(?:corrected|student_answer|first_error)\b"
    r"|原答案|参考答案|更正|ursprüngliche[nr]? (?:Antwort|Lösung)|r[ée]ponse (?:originale|initiale)"
    r"|respuesta original|исходн\w+ ответ",
    re.IGNORECASE,
)
_LOOKED_AT = 20_000
_ODD = frozenset({"Cc", "Cf", "Co", "Cs"})
_USUAL = frozenset("\n\r\t")
# The commonest words that the other languages of the table do not have.
_COMMON = {
    "en": "the of and is are there with this that from which we it",
    "de": "der die das und ist sind nicht ein eine mit von wir es",
    "fr": "le les des est sont une dans pour avec il nous donc",
    "es": "el los las del es son una por con hay para como",
    "it": "il gli della sono una per con ci che nel quindi",
    "pt": "o os das são uma para com há não que então",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}


def find_meta_talk(new: str, original: str) -> str | None:
    """Find words in new text that speak about an answer instead of giving one."""
    for match in _META.finditer(new):
        if match[0].lower() not in original.lower():
            return match[0]
    return None


def find_odd_character(new: str, original: str) -> str | None:
    """Name a control or direction character that the original does not have."""
    known = set(original)
    for char in new:
        if char not in known and char not in _USUAL and unicodedata.category(char) in _ODD:
            return f"U+{ord(char):04X}"
    return None


def find_other_language(new: str, original: str) -> str | None:
    """Name the script or language of new text if it is another one than the original's.

    Scripts are told apart by their letters, languages of one script by their commonest words; a
    few words are not enough to decide, and then nothing is found.
    """
    # The new text is short: mostly it decides alone that there is nothing to compare.
    after = _count_scripts(new)
    if after.total() >= 4:
        before = _count_scripts(original)
        script, count = after.most_common(1)[0]
        foreign = count > after.total() / 2 and before[script] < before.total() / 50
        if foreign and before.total() >= 8:
            return script.lower()
    says = _count_words(new)
    language = max(says, key=says.__getitem__, default="")
    if says[language] < 3:
        return None
    said = _count_words(original)
    known = max(said, key=said.__getitem__, default="")
    if said[known] >= 2 and language != known and not says[known]:
        return language if said[language] < said[known] / 3 else None
    return None


def _count_scripts(text: str) -> Counter[str]:
    return Counter(_name_script(char) for char in text[:_LOOKED_AT] if char.isalpha())


@cache
def _name_script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def _count_words(text: str) -> Counter[str]:
    words = re.findall(r"[^\W\d_]+", text[:_LOOKED_AT].lower())
    return Counter(name for word in words for name, known in _WORDS.items() if word in known)

"""Lists words that announce an answer, in many languages.

Each language gives its nouns and what may stand between the noun and the answer. The result is one
regular expression without nested repetition, so searching is linear in the length of the text.
"""

from __future__ import annotations

import re

_GAP = r"[ \t*_`\"'“”«»)]{0,6}"
# language: (nouns, words between noun and answer); ":" and "=" are understood everywhere.
_LANGUAGES: dict[str, tuple[str, str]] = {
    "en": (
        r"answer|(?:final|correct|right|best|overall|numerical)[ ](?:answer|option|choice|result"
        r"|solution|value|response)",
        r"is|was|are|would be|should be|must be|will be|becomes|equals",
    ),
    "de": (
        r"antwort|lösung|endergebnis|ergebnis",
        r"ist(?: daher| also| somit| folglich)?|lautet(?: daher| also| somit)?|wäre|beträgt",
    ),
    "fr": (
        r"réponse(?: finale| correcte| exacte)?|solution finale|résultat(?: final)?",
        r"est(?: donc)?|serait",
    ),
    "es": (
        r"respuesta(?: final| correcta)?|solución(?: final)?|resultado(?: final)?",
        r"es|será|sería",
    ),
    "it": (r"risposta(?: finale| corretta| esatta)?|risultato", r"è|sarebbe"),
    "pt": (r"resposta(?: final| correta| certa)?|resultado final", r"é|será|seria"),
    "nl": (r"antwoord", r"is|luidt"),
    "pl": (r"odpowiedź|odpowiedzią|wynik", r"to|brzmi|jest|wynosi"),
    "cs": (r"odpověď|výsledek", r"je|zní"),
    "uk": (r"відповідь|відповіддю|результат", r"є|це|дорівнює"),
    "ru": (r"ответ|ответом|результат", r"это|равен|есть|будет|является"),
    "tr": (r"cevap|yanıt", r"şudur"),
    "vi": (r"đáp án(?: đúng)?|câu trả lời(?: cuối cùng)?", r"là"),
    "id": (r"jawaban(?:nya)?(?: akhir)?", r"adalah"),
    "ar": (r"الإجابة(?: النهائية| الصحيحة)?|الجواب(?: النهائي)?", r"هي|هو"),
    "hi": (r"उत्तर|अंतिम उत्तर", r"है"),
}
# Scripts without spaces between words.
_UNSPACED = {
    "zh": (r"答案|答", r"应该是|應該是|应该为|应为|應為|就是|是|为|為|选|選"),
    "zh-choice": (r"故选|故選|因此选|所以选|應選|应选", r""),
    "ja": (r"答え|解答|回答|正解|正答|答", r"は"),
    "ko": (r"정답|최종 답|답변|답", r"은|는"),
}
_OBJECT = r"(?:[ ](?:to|for|of|auf|zu|à|a|для|на)[ ][^\n.:：=]{1,60}?)?"
_MARK = r"[:：=]|[ ]?(?:[-–—]|→|⇒|=>|\\Rightarrow|\\rightarrow)[ ]"


def _build_announcement() -> re.Pattern[str]:
    parts = []
    for nouns, links in _LANGUAGES.values():
        parts.append(rf"(?:{nouns}){_OBJECT}{_GAP}(?:{_MARK}|(?<!\w)(?:{links})(?!\w){_GAP}:?)")
    spaced = rf"(?<!\w)(?:{'|'.join(parts)})"
    unspaced = "|".join(
        rf"(?:{nouns}){_GAP}(?:{_MARK}{f'|{links}' if links else '|'})[:：]?"
        for nouns, links in _UNSPACED.values()
    )
    return re.compile(rf"(?:{spaced}|(?:{unspaced}))", re.IGNORECASE)


def _build_heading() -> re.Pattern[str]:
    nouns = "|".join(nouns for nouns, _ in _LANGUAGES.values())
    return re.compile(
        rf"^[ \t#*_>]{{0,8}}(?:the[ ]|final[ ]|最终)?(?:{nouns}|答案|答え|解答|정답)"
        r"[ \t*_:：]{0,8}$",
        re.IGNORECASE | re.MULTILINE,
    )


ANNOUNCEMENT = _build_announcement()
HEADING = _build_heading()
# What makes an announcement the last word on the matter.
FINAL = re.compile(
    r"final|definitiv|endgültig|endergebnis|остаточн|кінцев|окончательн|итогов|最终|最終|最后|nihai"
    r"|cuối|النهائي|अंतिम|최종|ostateczn|konečn|akhir",
    re.IGNORECASE,
)
NEGATION = re.compile(
    r"[\s*_]{0,6}(?:not|n't|neither|nicht|kein\w{0,2}|pas|no es|não|nie|не|不是|ではない)(?!\w)",
    re.IGNORECASE,
)
# Sentence ends that are none: "approx. 5", "ca. 5", "Nr. 5".
ABBREVIATION = re.compile(
    r"\b(?:[Aa]pprox|ca|ft|sq|oz|lb|[Nn]r|bzw|vs|e\.g|i\.e|z\. ?B|Dr|Mr|Mrs|Ms"
    r"|A\.D|B\.C|B\.C\.E|C\.E)$"
)
TRAILING_WORDS = re.compile(
    r"\s*(?:です|である|だ|となります|になります|입니다|이다|имеет вид|है)\s*[。.]?\s*$"
)

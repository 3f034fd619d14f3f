# ruff: noqa: E501 - tables of words, one kind a line
"""Lists words and signs around a value, in several languages: not, at least, about, or, to, is."""

from __future__ import annotations

import re

from dfgen.grade.canonical import SET_CLOSE, SET_OPEN

NOT = re.compile(
    r"(?:(?:is|are|was|be|it's|it is)\s)?(?:(?:definitely|certainly|clearly|surely)\s)?"
    r"(?:not|isn't|never|neither|other than|(?:anything|everything|any|all|any number)\s(?:but|except|save)|far from|nowhere near|except(?: for)?|excluding|different from|cannot be|can't be|nicht|kein\w*"
    r"|не(?:\sє|\sравно|\sдорівнює)?|не|pas|no es|não|nie|不是|不等于|不|ではない)(?=[\s\d$(\\])\s*",
    re.IGNORECASE,
)
BOUNDS: tuple[tuple[str, str], ...] = (
    ("≥", r"at least|no less than|no fewer than|not less than|not fewer than|a minimum of|at minimum|minimum|min\.|min(?=\s\d)|mindestens|au moins|al menos|至少|不少于|大于等于|大于或等于|не менее|не менше|щонайменше|greater than or equal to|from at least|upwards? of"),
    ("≤", r"at most|no more than|not more than|no greater than|up to|a maximum of|at maximum|maximum|max\.|max(?=\s\d)|höchstens|au plus|a lo sumo|最多|至多|不超过|小于等于|小于或等于|не более|не більше|щонайбільше|less than or equal to"),
    (">", r"strictly (?:more|greater|larger) than|more than|greater than|larger than|bigger than|over|above|beyond|in excess of|exceeding|exceeds|mehr als|größer als|über|plus de|plus grand que|más de|大于|超过|多于|более|больше|більше(?: ніж)?|понад"),
    ("<", r"strictly (?:less|fewer|smaller) than|less than|fewer than|smaller than|under|below|beneath|lower than|weniger als|kleiner als|unter|moins de|plus petit que|menos de|小于|少于|不到|менее|меньше|менше(?: ніж)?"),
    ("≈", r"about|approx(?:imately|\.)?|roughly|around|circa|ca\.|nearly|almost|close to|somewhere around|something like|an estimated|estimated|etwa|ungefähr|rund|environ|aproximadamente|около|приблизно|примерно|близько|大约|約|约|差不多|≈|~"),
)  # fmt: skip
BOUND = re.compile(
    "|".join(f"(?P<b{n}>{words})" for n, (_, words) in enumerate(BOUNDS)), re.IGNORECASE
)
SUFFIX_BOUND = (
    ("≥", re.compile(r"\s?(?:\+|plus|upwards?|or more|or greater|or above|or higher|or over|and above|and up|and more|oder mehr|ou plus|o más|или более|або більше|以上|及以上|at least|at minimum|minimum|or older)$", re.IGNORECASE)),
    ("≤", re.compile(r"\s?(?:or less|or fewer|or below|or lower|or under|and below|oder weniger|ou moins|o menos|или менее|або менше|以下|以内|at most|at maximum|maximum|tops|or younger)$", re.IGNORECASE)),
    ("≈", re.compile(r"\s?(?:or so|approximately|approx\.?|roughly|-?ish|左右|\(approx(?:imately|\.)?\)|\(approximate\)|more or less|give or take)$", re.IGNORECASE)),
)  # fmt: skip
HEDGE = re.compile(
    r"(?:it\s)?(?:maybe|perhaps|possibly|might be|may be|could be|vielleicht|peut-être|quizás|可能是?|也许是?|возможно|можливо|мабуть|either)\s+",
    re.IGNORECASE,
)
EXACTLY = re.compile(
    r"(?:an?(?=\s[$€£]?\d)|the(?=\s\d)|(?:the )?(?:point|vertex|side|(?:line )?segment)(?=\s[A-Z]{1,2}$)|it's(?=\s)|there (?:is|are)(?=\s\d)|exactly|precisely|only|just|simply|namely|equal to|equals|a total of|total of|in total|genau|exactement|ровно|рівно|正好|恰好|共|一共|总共|約数)\s*",
    re.IGNORECASE,
)
DISCOURSE = re.compile(
    r"(?:so|thus|hence|therefore|then|finally|overall|altogether|consequently|as a result|also|answer"
    r"|donc|daher|somit|отже|тому|итак|значит|поэтому|因此|所以|故)(?![\w'])[\s,:]*|(?:因此|所以|故)",
    re.IGNORECASE,
)
NAMED_RATIO = re.compile(r"(?<=\d) (?:ratio|odds)$", re.IGNORECASE)
NO_LEAD = re.compile(
    r"(?<!\w)(?:base|mod|modulo|log|step|steps|case|part|question|problem|equation|line)(?!\w)",
    re.IGNORECASE,
)
RELATION = re.compile(r"[<>≤≥≠]|∈|∉")
EQUAL = re.compile(r"(?<![<>!])=(?!=)|≡")
AND = re.compile(
    r"\s*(?:,\s*)?(?:(?<!\w)(?:and|und|et|та|і|и|as well as)(?!\w)|&|和|与|與|及|と|∧)\s*",
    re.IGNORECASE,
)
OR = re.compile(
    r"\s*,?\s*(?:(?<![A-Za-z])(?:or|oder|ou)(?![A-Za-z])|(?<!\w)(?:або|или|чи|либо)(?!\w)|或者?|または|∨)\s*,?\s*",
    re.IGNORECASE,
)
RANGE_WORDS = re.compile(
    r"\s?(?:(?<!\w)(?:to|until|till|through|thru|bis|до|à|al)(?!\w)|至|到|から|~|⋯|\.\.)\s?",
    re.IGNORECASE,
)
BETWEEN = re.compile(
    r"(?:between|from|zwischen|von|entre|de|між|между|от|від|从)\s(.+?)\s?(?:and|to|und|bis|et|à|y|a|та|і|и|до|到|至)\s(.+)",
    re.IGNORECASE,
)
HYPHEN_RANGE = re.compile(
    r"([$€£]?\d(?:[\d.,:]*\d)?(?:\s?(?:%|°|[ap]\.?m\.?|[A-Za-z]{1,8}))?)\s?-{1,2}\s?([$€£]?\d(?:[\d.,:]*\d)?(?:\s?[^\d\s].{0,24})?)",
    re.IGNORECASE,
)
EXPLANATION = re.compile(
    r"[\s,;.]*(?:[,;(-]\s*|\.\s+|\s)(?:because|since|as (?:there|the|it|we)|weil|denn|porque|perché|parce que|бо|тому що|оскільки|так как|потому что|because of|due to"
    r"|因为|where|given|assuming|so that|which|i\.e\.|that is|meaning|as shown|as seen|according to|based on|from the|in the (?:picture|image|diagram|figure))(?!\w).*",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
LINK = re.compile(
    r"(?<!\w)(?:is|are|was|were|be|equals?|makes?|making|gives?|giving|gets?|got|yields?|becomes?|ist|sind|beträgt|ergibt|est|sont|vaut|donne|es|son"
    r"|è|é|є|це|это|равен|равна|равно|дорівнює|totals?|totall?ing|has|have|had|contains?|costs?|needs?|takes?|measures?|weighs?|remains?|leaves?|find|found"
    r"|obtain(?:ed)?|conclude|with|shows?|reads?|counts?|see|of|to|so|thus|hence|therefore|equal to|namely|left|choose|pick|select)(?!\w)\s*:?\s*"
    r"|:(?!\d)\s*|(?<=[\u4e00-\u9fff]):|[→⇒∴]\s*|是|为|為|等于|有|共|得到?|選|选|は|が",
    re.IGNORECASE,
)  # fmt: skip
NEGATION_IN = re.compile(
    r"(?<!\w)(?:not|n't|cannot|can't|isn't|aren't|never|neither|nicht|kein\w*|не|pas|no longer|rather than|instead of|unlikely|impossible|doubt|whether|unsure|no way|nothing like|far from|refuse|nobody|no one|knows? if|sure if)(?!\w)|[a-z]n't(?!\w)|不|ない",
    re.IGNORECASE,
)
QUESTION = re.compile(r"\?\s*(?=\S)")
RETRACTION = re.compile(
    r"(?:no|wait|actually|hmm+|sorry|nein|нет|ні|oops|nope|correction|rather)(?:[\s,.:;!-]+(?:wait|actually|it's|it is|that's|it should be|make that|i mean))*[\s,.:;!-]+",
    re.IGNORECASE,
)
RETRACTED = re.compile(
    r"[\s.,;…(-]*(?:(?<!\w)(?:no,? wait|wait|actually|scratch that|correction|i mean|or rather|sorry|hmm+)(?!\w)|不对)[\s,.:;!-]+",
    re.IGNORECASE,
)
LEAD_WORDS = re.compile(
    r"(?:[^\W\d_]{2,20}[ -]+){1,6}(?=[-+$€£]?\d|[(\[{⟨⦃])|[\u4e00-\u9fff]{1,8}(?=\d)"
)
NAME = re.compile(
    r"\s?(?:[A-Za-zα-ωΑ-Ωℓ](?:'*)(?:_\{?[A-Za-z0-9,]{1,8}\}?)?(?:\([^()=]{1,24}\))?|[∠△]\s?[A-Za-z0-9]{1,4}|\|?[A-Z]{2,5}\|?(?:_\{?\w{1,6}\}?)?"
    r"|m\s?∠\s?[A-Z]{1,3}|\\(?:overline|vec|hat|bar)\s?\{?\w{1,3}\}?|[A-Za-z]_\{[^{}]{1,12}\}(?:\s?:\s?[A-Za-z_{}\d]{1,12})?)\s?"
)
OPEN_SUM = re.compile(r"\s?[A-Za-z](?:_\{?\w\}?)?(?:\s?[-+*·/]?\s?[A-Za-z](?:_\{?\w\}?)?){1,5}\s?")
POWER_OF_NAME = re.compile(r"\s?[A-Za-z]\s?\^\s?\{?\s?\d\s?\}?\s?")
MATH = re.compile(r"[\d+*/^=<>≤≥≠√π∞∪∩±\\_×÷∅∈]")
WORDY = re.compile(r"[A-Za-z][A-Za-z()]*\d+[A-Za-z\d()+-]*")
POINT = re.compile(r"([A-Z](?:_\{?\w\}?)?'?)\s?(?=\()")
SPACED = re.compile(
    r"-?\d+(?:\.\d+)?(?: -?\d+(?:\.\d+)?)+(?<! \d{3})|(?:-?\d{1,3} ){2,30}-?\d{1,3}"
)
NO_SOLUTION = re.compile(
    r"(?:there (?:is|are) )?no (?:real )?(?:solutions?|roots?)|(?:the )?empty set|no such .{1,30}|∅|keine lösung|无解|немає розв'язків|нет решений",
    re.IGNORECASE,
)
ALL_REAL = re.compile(
    r"(?:[a-z]\s?∈\s?)?ℝ|(?:the set of )?all (?:the )?real(?: number)?s|所有实数|全体实数",
    re.IGNORECASE,
)
TURNED = re.compile(r"(?=\]|.*\[$)([\](\[])([^\[\]()]{1,60}[,;][^\[\]()]{1,60})([\[\])])")
MIXED_AND = re.compile(r"(\d{1,6}) and (\d{1,3}/\d{1,3})")
SO = re.compile(r"[^\d,]{0,40}\d[^\n]{2,200}?,\s(?:so|thus|hence|therefore)\s+(?=[^\n]*\d)")
COMMA = re.compile(r",(?!\d)|,(?=\d)")
SEMICOLON = re.compile(r";|\n")
LIST_MARK = re.compile(r"、")
NONE_OF = re.compile(r"(?:no|none|nothing|without)(?:\s+of)?\s+(?=\d)", re.IGNORECASE)
SET_BUILDER = re.compile(rf"{SET_OPEN}\s?[A-Za-z]\s?(?:∈\s?[ℝℚℤℕ]\s?)?[|:]\s?(.+){SET_CLOSE}")
MEASURED_SIDES = re.compile(
    r"(\d[\d.,]*\s?[A-Za-z]{1,12})\s?(?:by|×|x)\s?(\d[\d.,]*\s?[A-Za-z]{1,12})(?:\s?(?:by|×|x)\s?(\d[\d.,]*\s?[A-Za-z]{1,12}))?",
    re.IGNORECASE,
)

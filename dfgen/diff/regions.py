r"""Finds where a text is mathematics or code, where the case of a letter carries meaning."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache

# Every alternative has a limit, so that signs that nothing closes cost no quadratic time. A single
# dollar sign touches its formula on the inside, and no digit follows its end, or it is money.
_REGION = re.compile(
    r"```(?s:.{0,4000}?)```|`[^`\n]{1,300}`"
    r"|\\\\|\\\$|\$\$(?s:.{1,2000}?)\$\$|\$(?! )[^$\n]{0,499}[^$\s]\$(?!\d)|\$ [^$\n]{1,498} \$"
    r"|\\\((?s:.{1,1000}?)\\\)|\\\[(?s:.{1,2000}?)\\\]"
)


@lru_cache(maxsize=8)  # the two texts of a pair are asked about many times in a row
def _find_regions(text: str) -> tuple[list[int], list[int]]:
    if not any(sign in text for sign in "`$\\"):
        return [], []
    spans = [match.span() for match in _REGION.finditer(text)]
    spans = [(a, b) for a, b in spans if b - a > 2]
    return [a for a, _ in spans], [b for _, b in spans]


def is_in_region(text: str, at: int) -> bool:
    """Say whether a character lies inside a formula or code."""
    starts, ends = _find_regions(text)
    index = bisect_right(starts, at) - 1
    return index >= 0 and at < ends[index]

"""Says what a file is that was named as another kind: Parquet, gzip, UTF-16, CSV as JSON Lines.

Only the first bytes are looked at. Read as what it is not, such a file would give a reject for
every line, or an error of some library about its first byte.
"""

from __future__ import annotations

import re
from pathlib import Path

from dfgen.errors import InputError
from dfgen.prompts.files import explain_unreadable_file
from dfgen.regular_files import read_at_most

_LOOKED_AT = 64 * 1024

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "a Parquet file", "Set source: parquet."),
    (b"\x1f\x8b", "compressed with gzip", "Its name must end in .gz to be read as such."),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it: zstd -d {name}"),
    (b"BZh", "compressed with bzip2", "Unpack it: bunzip2 {name}"),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it: unxz {name}"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Unpack it, or save it as CSV."),
    (b"\xff\xfe\x00\x00", "UTF-32 text, not UTF-8", "{iconv}"),
    (b"\x00\x00\xfe\xff", "UTF-32 text, not UTF-8", "{iconv}"),
    (b"\xff\xfe", "UTF-16 text, not UTF-8", "{iconv}"),
    (b"\xfe\xff", "UTF-16 text, not UTF-8", "{iconv}"),
    (b"ARROW1", "an Arrow file", "Save it as Parquet."),
    (b"SQLite format 3", "an SQLite database", "Export its rows as JSON Lines or CSV."),
)
_HEADER = re.compile(r"\"?[\w .()-]{1,60}\"?(?:(?P<mark>[,;\t])\"?[\w .()-]{0,60}\"?)+")


def check_text_file(file: Path) -> bytes:
    """Refuse a file that is no text in UTF-8, as far as its beginning shows.

    Returns:
        Its first bytes; of a file whose name ends in `.gz` none.

    Raises:
        InputError: says what it is and what to do; or it cannot be read.
    """
    try:
        head = read_at_most(file, _LOOKED_AT)
    except OSError as error:
        raise explain_unreadable_file(file, error) from error
    if file.name.endswith(".gz"):
        return b""
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            code = "UTF-16" if "16" in what else "UTF-32"
            iconv = f"Convert it: iconv -f {code} -t UTF-8 {file.name} > utf8-{file.name}"
            raise InputError(
                f"the file is {what}.",
                where=str(file),
                hint=hint.format(name=file.name, iconv=iconv),
            )
    return head


def check_json_lines(file: Path) -> None:
    """Refuse a file that is named as JSON Lines and is none.

    Raises:
        InputError: it is no text, or its first line is the header of a CSV file.
    """
    head = check_text_file(file).decode("utf-8-sig", "replace")
    first = next((line.strip() for line in head.splitlines() if line.strip()), "")
    if _HEADER.fullmatch(first):
        raise InputError(
            f"the file is not JSON Lines but looks like CSV: its first line is {first!r:.80}.",
            where=str(file),
            hint="Set source: csv. Its header names the columns.",
        )

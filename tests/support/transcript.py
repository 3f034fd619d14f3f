"""What a person who types commands of dfgen sees, written down so that a person can read it.

story = Transcript()
story.tell("I look at my file.")
story.type("dfgen check my.yaml", code=1)
story.text

Commands run in this process and in the current folder, so that names in what they print are short.
What differs from one run or machine to the next is replaced by a word in braces: a time, a rate, a
size of files, a path of this installation. Nothing else is: the words and counts are the test.
"""

from __future__ import annotations

import re
import shlex
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

import dfgen
from dfgen.cli.main import cli

WIDTH = 100

# (what differs, what stands for it), in this order.
MOVING: tuple[tuple[str, str], ...] = (
    (re.escape(str(Path(dfgen.__file__).parent)), "{dfgen}"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+\d\d:\d\d| UTC)?", "{time}"),
    (r"(?<![\w.])\d+(?:\.\d+)? [kKMG]?B(?!\w)", "{size}"),
    (r"(?<![\w.])[\d,]+(?:\.\d+)?(?= rows a (?:second|minute|hour|day))", "{rate}"),
    (r"(?<![\w.])[\d,.]+/s", "{rate}"),
    (r"(?<=tokens per second)( +)[\d,.]+", r"\1{rate}"),
    (r"(?<![\w.])\d+(?:\.\d+)? (?:s|seconds?|min)(?!\w)", "{duration}"),
    # A column is as wide as what stood in it.
    (r" {2,}(?=size {2}|\{size\} {2}|age$|\{duration\}$)", "  "),
)


@dataclass
class Transcript:
    """What was typed, and what came of it.

    Attributes:
        lines: so far, without line breaks.
    """

    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"

    def tell(self, sentence: str) -> None:
        """Say what the person does, or thinks."""
        self.lines += ["", f"# {sentence}"]

    def show(self, text: str) -> None:
        """Write down what was printed."""
        for pattern, word in MOVING:
            text = re.sub(pattern, word, text, flags=re.MULTILINE)
        # Blanks at the ends of lines are no content, and editors take them away.
        self.lines += [line.rstrip() for line in text.splitlines()]

    def type(self, line: str, code: int = 0) -> str:
        """Run a command of dfgen; return what it printed on stdout and stderr, in that order.

        Args:
            line: as it is typed.
            code: the exit code that is right.
        """
        name, *arguments = shlex.split(line)
        assert name == "dfgen", line
        result = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(cli, arguments, prog_name="dfgen")
        if not isinstance(result.exception, SystemExit | None):
            shown = "".join(traceback.format_exception(result.exception))
            raise AssertionError(f"{line}\n{result.output}\n{shown}")
        assert result.exit_code == code, f"{line}\nexit {result.exit_code}\n{result.output}"
        self.lines += ["", f"$ {line}"]
        self.show(result.output)
        if code:
            self.lines.append(f"[exit {code}]")
        return result.output

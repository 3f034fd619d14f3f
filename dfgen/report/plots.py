"""Draws the plots of a run as PNG files, for the card of a published data set.

Why not matplotlib: the card needs bars and words, and every user who publishes would pay for
matplotlib's ten packages and a second of import. Pillow is here already, brings a font of its own,
and draws equal bytes for equal numbers on every machine.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import PIL.ImageFont

Colour = tuple[int, int, int]
Anchor = Literal["left", "middle", "right"]

PAPER: Colour = (255, 255, 255)
INK: Colour = (30, 35, 41)
SOFT: Colour = (92, 101, 112)
LINE: Colour = (229, 225, 216)
BAR: Colour = (125, 138, 153)
PALE: Colour = (190, 197, 206)
WRONG: Colour = (216, 86, 63)
WRONG_PALE: Colour = (238, 176, 163)
WRONG_DARK: Colour = (156, 36, 19)
RIGHT: Colour = (38, 148, 122)

# Drawn at three times the size and shrunk: Pillow's shapes have hard edges otherwise.
_OVERSAMPLING = 3
_SCALE = 2

WIDTH = 480
_LEFT = 24
_ROLES: tuple[tuple[str, str, Colour], ...] = (
    ("unchanged", "unchanged", PALE),
    ("first", "first error", WRONG),
    ("consequence", "consequence", WRONG_PALE),
    ("independent", "further error", WRONG_DARK),
)


def draw_plots(numbers: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw what a run has figures for.

    Args:
        numbers: as `collect_numbers` gives them.

    Returns:
        name -> PNG (960 pixels wide, on white): `pass_rate`, `mask_by_position`, `edit_ratio`,
        `step_roles`, `attempts`, `rejects`; those without figures are left out. Equal numbers give
        equal bytes.
    """
    plots = {
        "pass_rate": _draw_pass_rate(numbers),
        "mask_by_position": _draw_positions(numbers),
        "edit_ratio": _draw_ratios(numbers),
        "step_roles": _draw_roles(numbers),
        "attempts": _draw_attempts(numbers),
        "rejects": _draw_rejects(numbers),
    }
    return {name: canvas.to_png() for name, canvas in plots.items() if canvas is not None}


def _draw_pass_rate(numbers: Mapping[str, Any]) -> Canvas | None:
    groups = numbers.get("groups")
    if not groups:
        return None
    exact = numbers.get("distributions", {}).get("right_per_group")
    bins = exact or groups["pass_rate_histogram"]
    ends = ("none right", "all right") if exact else ("0 %", "100 %")
    title = f"Pass rate of {groups['prompts']:,} prompts"
    return draw_columns(title, bins, (ends[0], "right answers per prompt", ends[1]), _format_count)


def _draw_positions(numbers: Mapping[str, Any]) -> Canvas | None:
    spread = numbers.get("distributions", {}).get("mask_by_position")
    if not spread or not any(spread["tokens"]):
        return None
    pairs = zip(spread["masked"], spread["tokens"], strict=True)
    shares = [masked / total if total else 0.0 for masked, total in pairs]
    labels = ("begin", "place in the completion", "end")
    return draw_columns("Share of tokens in the mask", shares, labels, _format_share)


def _draw_ratios(numbers: Mapping[str, Any]) -> Canvas | None:
    bins = numbers.get("distributions", {}).get("edit_ratio_histogram")
    if not bins or not any(bins):
        return None
    used = max(index + 1 for index, count in enumerate(bins) if count)
    used = max(used, len(bins) // 2)
    end = f"{used * 100 // len(bins)} %"
    labels = ("0 %", "share of tokens changed", end)
    return draw_columns("Edit ratio of accepted repairs", bins[:used], labels, _format_count)


def _draw_roles(numbers: Mapping[str, Any]) -> Canvas | None:
    roles = numbers.get("masks", {}).get("step_roles")
    if not roles or not any(roles.values()):
        return None
    parts = [(words, roles.get(role, 0), colour) for role, words, colour in _ROLES]
    return draw_parts("Steps of repaired trajectories", parts)


def _draw_attempts(numbers: Mapping[str, Any]) -> Canvas | None:
    outcomes = numbers.get("distributions", {}).get("attempts_by_outcome")
    if not outcomes:
        return None
    lines = [
        (reason, sums["attempts"], RIGHT if reason == "accepted" else WRONG)
        for reason, sums in outcomes.items()
    ]
    return draw_rows("Attempts at a repair, by outcome", lines)


def _draw_rejects(numbers: Mapping[str, Any]) -> Canvas | None:
    lines = [
        (f"{stage}: {reason}", count, WRONG)
        for stage, reasons in numbers.get("rejects", {}).items()
        for reason, count in reasons.items()
    ]
    lines.sort(key=lambda line: -line[1])
    return draw_rows("Rejected rows, by stage and reason", lines[:12]) if lines else None


def draw_columns(
    title: str,
    values: Sequence[float],
    labels: tuple[str, str, str],
    format_value: Callable[[float], str],
) -> Canvas:
    """Columns over an axis with a label at its start, middle and end; the highest is named."""
    canvas = Canvas(WIDTH, 240)
    canvas.write(_LEFT, 28, title, size=14, colour=INK)
    ground, head, width = 206.0, 62.0, WIDTH - 2 * _LEFT
    step = width / len(values)
    top = max(values) or 1
    for index, value in enumerate(values):
        height = (ground - head) * value / top
        x = _LEFT + index * step
        canvas.fill(x + 1, ground - height, step - 2, max(height, 1 if value else 0), BAR)
    peak = max(range(len(values)), key=values.__getitem__)
    middle = _LEFT + (peak + 0.5) * step
    canvas.write(middle, head - 6, format_value(values[peak]), colour=INK, anchor="middle")
    canvas.fill(_LEFT, ground, width, 1, LINE, radius=0)
    canvas.write(_LEFT, ground + 20, labels[0])
    canvas.write(WIDTH / 2, ground + 20, labels[1], anchor="middle")
    canvas.write(WIDTH - _LEFT, ground + 20, labels[2], anchor="right")
    return canvas


def draw_rows(title: str, lines: Sequence[tuple[str, float, Colour]]) -> Canvas:
    """Draw a bar per line: its name on the left, its count at the end."""
    row, left = 24, 200
    canvas = Canvas(WIDTH, 54 + row * len(lines))
    canvas.write(_LEFT, 28, title, size=14, colour=INK)
    top = max(value for _, value, _ in lines) or 1
    for index, (name, value, colour) in enumerate(lines):
        y = 46 + row * index
        width = max(2.0, (WIDTH - left - 80) * value / top)
        canvas.write(left - 10, y + 12, _clip(name, 28), colour=INK, anchor="right")
        canvas.fill(left, y + 2, width, 13, colour)
        canvas.write(left + width + 8, y + 12, _format_count(value))
    return canvas


def draw_parts(title: str, parts: Sequence[tuple[str, float, Colour]]) -> Canvas:
    """Draw one bar of parts that make a whole, each named below with its share and count."""
    row = 22
    canvas = Canvas(WIDTH, 98 + row * len(parts))
    canvas.write(_LEFT, 28, title, size=14, colour=INK)
    width = WIDTH - 2 * _LEFT
    total = sum(value for _, value, _ in parts) or 1
    x = float(_LEFT)
    for index, (name, value, colour) in enumerate(parts):
        share = value / total
        canvas.fill(x, 46, width * share - 1.5, 26, colour)
        x += width * share
        y = 86 + row * index
        canvas.fill(_LEFT, y + 3, 10, 10, colour)
        canvas.write(_LEFT + 18, y + 12, name, colour=INK)
        canvas.write(_LEFT + 200, y + 12, _format_share(share), colour=INK, anchor="right")
        canvas.write(_LEFT + 280, y + 12, _format_count(value), anchor="right")
    return canvas


def _format_count(value: float) -> str:
    return f"{value:,.0f}"


def _format_share(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


class Canvas:
    """A surface for rectangles and words, measured in points; its PNG has two pixels a point."""

    def __init__(self, width: int, height: int) -> None:
        import PIL.Image
        import PIL.ImageDraw

        self.width = width
        self.height = height
        self._zoom = _SCALE * _OVERSAMPLING
        self._image = PIL.Image.new("RGB", (width * self._zoom, height * self._zoom), PAPER)
        self._draw = PIL.ImageDraw.Draw(self._image)

    def fill(
        self, x: float, y: float, width: float, height: float, colour: Colour, radius: float = 2
    ) -> None:
        """Draw a rectangle with round corners."""
        if width <= 0 or height <= 0:
            return
        zoom = self._zoom
        box = (x * zoom, y * zoom, (x + width) * zoom - 1, (y + height) * zoom - 1)
        round_by = min(radius, width / 2, height / 2) * zoom
        self._draw.rounded_rectangle(box, round_by, fill=colour)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 11,
        colour: Colour = SOFT,
        anchor: Anchor = "left",
    ) -> None:
        """Write a line of text; `y` is its baseline."""
        place = {"left": "ls", "middle": "ms", "right": "rs"}[anchor]
        font = _load_font(round(size * self._zoom))
        self._draw.text((x * self._zoom, y * self._zoom), text, colour, font, anchor=place)

    def to_png(self) -> bytes:
        """Return the picture as PNG, with few colours: flat areas need no more."""
        import PIL.Image

        size = (self.width * _SCALE, self.height * _SCALE)
        small = self._image.resize(size, PIL.Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        small.quantize(64, dither=PIL.Image.Dither.NONE).save(stream, "PNG", optimize=True)
        return stream.getvalue()


@lru_cache
def _load_font(size: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    import PIL.ImageFont

    return PIL.ImageFont.load_default(size)

"""Writes numbers of bytes for people."""

from __future__ import annotations


def write_size(size: int) -> str:
    """Write a number of bytes in the unit that leaves one to three digits before the point."""
    amount, unit = float(size), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"

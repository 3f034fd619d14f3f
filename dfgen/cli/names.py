"""Says which name was likely meant by a misspelt one, in the errors of the command line."""

from __future__ import annotations

from typing import Any

import click

from dfgen.errors import guess_name


class NamedChoice(click.Choice):  # type: ignore[type-arg]  # generic since click 8.2 only
    """`click.Choice` of names, with "did you mean ...?" in its error."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the choice.

        Raises:
            click.BadParameter: it is none; names the one that was likely meant.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            told = error.message + suggest(guess_name(str(value), map(str, self.choices)))
            raise click.BadParameter(told, ctx, param) from None


def suggest(meant: object | None) -> str:
    """End a message with a guess, if there is one."""
    return "" if meant is None else f" Did you mean {str(meant)!r}?"

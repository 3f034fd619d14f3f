"""`dfgen completion`: the script that lets a shell complete dfgen's commands and options."""

from __future__ import annotations

import click

from dfgen.cli.names import NamedChoice
from dfgen.cli.options import examples


@click.command(
    epilog=examples(
        'eval "$(dfgen completion bash)"                # in ~/.bashrc',
        'eval "$(dfgen completion zsh)"                 # in ~/.zshrc',
        "dfgen completion fish > ~/.config/fish/completions/dfgen.fish",
    )
)
@click.argument("shell", type=NamedChoice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell: names of commands, options, their values and files.

    bash must be 4.4 or newer.
    """
    from click.shell_completion import get_completion_class

    from dfgen.cli.main import COMPLETION, cli

    kind = get_completion_class(shell)
    assert kind is not None  # click knows all three
    script = kind(cli, {}, "dfgen", COMPLETION)
    # Not source(), which first asks the bash that happens to be installed here for its version.
    click.echo(script.source_template % script.source_vars())

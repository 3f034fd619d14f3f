"""Lists the commands of `dfgen`, each loaded only when called, and prints errors for people."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from dfgen.cli.json_output import note_error, one_document
from dfgen.cli.streams import make_output_safe
from dfgen.ending import find_exit_code
from dfgen.errors import DfgenError, guess_name
from dfgen.version import VERSION

# Name of the command: (module under dfgen.cli.commands, one line for the list). The line stands
# here so that `dfgen --help` imports nothing.
COMMANDS = {
    "run": ("run", "Run all stages of a pipeline, or go on with a run."),
    "check": ("check", "Say what would stop a run, before it begins."),
    "sample": ("sample", "Draw and grade the policy's answers."),
    "import": ("import_", "Take in existing answers of other models."),
    "repair": ("repair", "Repair the wrong answers."),
    "regrade": ("regrade", "Grade the answers of a run anew."),
    "score": ("score", "Have the policy score answers and repairs."),
    "value": ("value", "Draw on from prefixes: was the token to blame?"),
    "mask": ("mask", "Make the masks; of a run, or of your own pairs."),
    "diff": ("diff", "Show the mask between two texts."),
    "retokenize": ("retokenize", "Carry masks over to another tokenizer."),
    "migrate": ("migrate", "Bring an older run's files to today's columns."),
    "validate": ("validate", "Prove that a run or a mask file is sound."),
    "launch": ("launch", "Have Slurm or Ray run the stages on many machines."),
    "status": ("status", "How far a run is, who works on it, what it has cost."),
    "ls": ("ls", "List the runs in a folder."),
    "stats": ("stats", "Counts, rates and quality of a run."),
    "report": ("report", "Write a page of plots and trajectories, one HTML file."),
    "view": ("view", "The same page from the run itself: all rows, live, two runs."),
    "inspect": ("inspect", "Look at single trajectories."),
    "export": ("export", "Write a table that trainers load."),
    "publish": ("publish", "Put a run on the Hub, checked and verified."),
    "config": ("config", "Show, check or start a pipeline file."),
    "completion": ("completion", "Print the completion script of a shell."),
    "demo": ("demo", "The whole job on drawn pictures with two small models."),
}


COMPLETION = "_DFGEN_COMPLETE"
"""Environment variable by which a shell asks for completions (`dfgen completion`)."""


class LazyGroup(click.Group):
    """Finds commands in `COMMANDS` and turns dfgen's errors into one paragraph and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """List all names, in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dfgen.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List names and lines without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a misspelt name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = guess_name(args[0], COMMANDS)
            if meant and "No such command" in error.message:
                raise click.UsageError(
                    f"No such command {args[0]!r}. Did you mean {meant!r}?", ctx
                ) from None
            raise

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """As click does; whatever is printed meanwhile is shown and not obeyed."""
        if COMPLETION in os.environ:  # the shell asks, in bytes, for names that stand in the code
            return super().main(*args, **kwargs)
        given = args[0] if args else kwargs.get("args")
        with make_output_safe(), one_document(sys.argv[1:] if given is None else given):
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; user-fixable errors are printed without a traceback."""
        try:
            return super().invoke(ctx)
        except DfgenError as error:
            if ctx.params.get("debug"):
                raise
            note_error(error)
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except click.ClickException as error:
            note_error(DfgenError(error.format_message(), hint=_name_help(error)))
            raise
        except KeyboardInterrupt as interrupt:
            note_error(DfgenError("stopped, as it was asked to.", hint=_RESUME))
            click.echo(f"\nStopped. {_RESUME}", err=True)
            ctx.exit(find_exit_code(interrupt))


_RESUME = "What is finished stays; the same command goes on from there, or begins again."


def _name_help(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return None if context is None else f"Try `{context.command_path} --help`."


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "DFGEN",
        "max_content_width": 100,
    },
    no_args_is_help=True,
    epilog="Start with: dfgen demo",
)
@click.version_option(VERSION, prog_name="dfgen")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def cli(debug: bool) -> None:
    """Token-level difference masks for GRPO training of vision-language models.

    A policy answers questions about pictures, a stronger model repairs the wrong answers with the
    smallest edit, and the difference says which tokens were wrong.
    """


def main() -> None:
    """Entry point of the console script."""
    try:
        cli.main(standalone_mode=True)
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone; that is its good right.
        sys.stderr.close()
        raise SystemExit(0) from None

"""`dfgen view`: serves a run to a browser on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import EXISTING_DIRECTORY, curves_option, examples


@click.command(
    epilog=examples(
        "dfgen view runs/demo",
        "dfgen view runs/before runs/after",
        "dfgen view runs/demo --marks ada.jsonl --by ada --port 8123",
    )
)
@click.argument("run", type=EXISTING_DIRECTORY)
@click.argument("other", type=EXISTING_DIRECTORY, required=False)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="0, the default: a free one."
)
@click.option(
    "--marks",
    type=LocalPath(dir_okay=False),
    help="File that your marks are kept in. Default: RUN.marks.jsonl beside the run.",
)
@curves_option
@click.option("--by", default="", help="Your name, noted with each mark.")
@click.option("--open", "opens", is_flag=True, help="Open the page in your browser, too.")
def command(
    run: Path,
    other: Path | None,
    port: int,
    marks: Path | None,
    curves: Path | None,
    by: str,
    opens: bool,
) -> None:
    """Serve the page of a run, with all of its rows, to a browser on this machine.

    The page is that of `dfgen report`; it follows a run that is at work, and compares two runs. The
    address, printed here, is secret: nobody without it is answered. Nothing of the run is changed.
    Ctrl-C ends it.
    """
    import asyncio
    import os
    import sys
    import threading
    import webbrowser

    from dfgen.report.curves import read_curves
    from dfgen.view.ending import end_on_signals
    from dfgen.view.marks_file import MarksFile
    from dfgen.view.server import Viewer
    from dfgen.view.viewed_run import ViewedRun

    # While figures are counted, a search gives way hundreds of times; not for 5 ms each time.
    sys.setswitchinterval(0.0005)
    root = run.resolve()
    kept = MarksFile(marks or root.with_name(f"{root.name}.marks.jsonl"))
    kept.read()  # what is wrong with it is said now and not in the page
    shown = None if curves is None else read_curves(curves)
    viewer = Viewer([ViewedRun(path, shown) for path in (run, other) if path is not None], kept, by)

    async def serve() -> None:
        ended = end_on_signals()
        runner, address = await viewer.start(port)
        click.echo(address)
        click.echo("Ctrl-C ends it. Keep the address to yourself.", err=True)
        if opens:
            webbrowser.open(address)
        threading.Thread(target=viewer.runs[0].prepare, daemon=True).start()
        exit_code = await ended
        await runner.cleanup()
        click.echo("ended", err=True)
        sys.stdout.flush()
        # Figures of a large run are counted for minutes: Python would wait for those threads, and
        # none of them can be told to stop. They only read.
        os._exit(exit_code)

    asyncio.run(serve())

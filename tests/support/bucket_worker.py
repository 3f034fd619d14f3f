"""A process that works on a run with scripted models, writes down what it pays for, and may die.

    python -m tests.support.bucket_worker PAID DIE -- run pipeline.yaml --out s3://bucket/run

PAID is a file that gets a line for each answer that the repairer gives. DIE is the number of the
request to the store before which the process is killed; 0: none. While there is a file that
DFGEN_TEST_HOLD names, the repairer gives none after the first. DFGEN_TEST_LARGE: the run counts as
one of many pages, of which a worker lists what it needs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfgen.cli.main import main
from dfgen.store.bucket.hub_objects import HubObjects
from dfgen.store.bucket.objects import ObstoreObjects
from tests.support.hub_runs import read_environment
from tests.support.scripted_models import Models, answer_by_index
from tests.support.waiting import wait_while_there

WORDS = ["fine", "poor", "bad", "worse"]
REPAIRS = {"poor": ["fine"], "bad": ["worse"], "worse": ["fine"]}
"""What is asked again gets the same answer, so that a resumed run is the calm one."""

_CHANGES = ("put", "delete", "copy")


class PaidModels(Models):
    """Models whose repairer is paid, answer by answer, on a list that no crash takes back."""

    paid: Path

    def generate(self, requests: Any) -> Any:
        """Repair, and write down each answer before it is given."""
        hold = os.environ.get("DFGEN_TEST_HOLD")
        for number, results in enumerate(super().generate(requests)):
            if hold and number:
                wait_while_there(Path(hold))
            with self.paid.open("a") as file:
                file.writelines(f"{result.key}\n" for result in results)
            yield results


def die_before(number: int) -> None:
    """Kill this process before its n-th change in the store, and not at the end of a stage."""
    left = [number]

    def count_down(real: Callable[..., Any]) -> Callable[..., Any]:
        def change(self: Any, *args: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, *args)

        return change

    # On the Hub what is created or replaced is put.
    for kind, names in ((ObstoreObjects, (*_CHANGES, "create", "replace")), (HubObjects, _CHANGES)):
        for name in names:
            setattr(kind, name, count_down(getattr(kind, name)))


def work(arguments: list[str]) -> None:
    """Do what the command line says."""
    paid, die, _, *command = arguments
    models = PaidModels(answer_by_index(WORDS), dict(REPAIRS))
    models.paid = Path(paid)
    with pytest.MonkeyPatch.context() as patch:
        models.replace_engines(patch)
        if "HF_ENDPOINT" in os.environ:
            read_environment(patch)
        if int(die):
            die_before(int(die))
        if os.environ.get("DFGEN_TEST_LARGE"):
            patch.setattr("dfgen.store.bucket.mirror.PAGE", 1)
        sys.argv = ["dfgen", *command]
        main()


if __name__ == "__main__":
    work(sys.argv[1:])

"""Hands a file over to a provider, once, whatever happens between the handing and the knowing.

A connection that breaks, a server that fails and a process that is killed leave the same question:
has it been taken? The provider is asked whether it knows the name, and only what it does not know,
after the time in which it surely lists what it has taken, is handed over again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.openai.batch.carrier import Carrier, attempt
from dfgen.engines.openai.batch.form import FileForm, Form
from dfgen.engines.openai.batch.ledger import Ledger, OutFile
from dfgen.engines.openai.batch.refusals import refuse_to_guess
from dfgen.engines.openai.transport import Answer

# Looks at the provider's lists within the time in which it may not list what it has taken.
_LOOKS = 10
# Refusals that say that nothing was taken.
_NOT_TAKEN = frozenset({408, 409, 425, 429})
# A provider that has no place now is asked this many times as often as one that fails.
_PATIENCE = 6


class HandingOver:
    """Uploads files and makes batches of them, a step on record before each.

    Args:
        form: the provider's.
        carrier: to it.
        ledger: of what is out.
    """

    def __init__(
        self,
        config: OpenAIConfig,
        form: Form,
        carrier: Carrier,
        ledger: Ledger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._form = form
        self._files = form if isinstance(form, FileForm) else None
        self._carrier = carrier
        self._ledger = ledger
        self._clock = clock
        # When the sending of each last failed, by a clock that nobody sets: until then it may have
        # been taken. One that an earlier process has sent counts from its first look on.
        self._sent: dict[str, float] = {}

    def hand_over(self, out: OutFile, path: Path) -> None:
        """Hand over a file that the ledger has an entry of.

        Raises:
            EngineError: the provider refuses it, or nobody can tell whether it was taken.
            CutError: a stop was asked for; the next start finds out.
        """
        form, files, carrier = self._form, self._files, self._carrier
        if files is not None and out.file_id is None:
            file_id = self._take_step(
                out,
                lambda: files.upload(carrier, path, out),
                files.read_file_id,
                lambda: files.find_file(carrier, out),
            )
            self._ledger.write("uploaded", out.key, file_id=file_id)
        batch_id = self._take_step(
            out,
            lambda: form.create(carrier, path, out, self._config.model, self._config.batch),
            form.read_batch_id,
            None if files is None else lambda: files.find_batch(carrier, out),
        )
        self._ledger.write("created", out.key, batch_id=batch_id)

    def adopt(self, out: OutFile, path: Path) -> bool:
        """Find out what became of a file whose handing over was cut short; go on with it.

        Returns:
            Whether it is out now; if not, the provider has nothing of it, and it was given up.

        Raises:
            EngineError: nobody can tell.
        """
        carrier, files = self._carrier, self._files
        if files is None or not files.rules.finds:
            raise refuse_to_guess(out, self._config)
        # When it was taken nobody knows: an upload may have lasted an hour, and the process that
        # was killed may have tried again and again. From now on nobody hands it over.
        self._sent[out.key] = self._clock()
        if out.file_id is None:  # then no batch was made of it, either
            file_id = self._look_for(out, lambda: files.find_file(carrier, out))
            if file_id is None:
                self._ledger.write("given_up", out.key)
                return False
            self._ledger.write("uploaded", out.key, file_id=file_id)
        else:
            batch_id = self._look_for(out, lambda: files.find_batch(carrier, out))
            if batch_id is not None:
                self._ledger.write("created", out.key, batch_id=batch_id)
                return True
        self.hand_over(out, path)
        return True

    def _look_for(self, out: OutFile, find: Callable[[], str | None]) -> str | None:
        """Look until it is found, or the time is over in which it may not be listed yet."""
        settle = self._config.batch.settle_s
        began = self._sent.setdefault(out.key, self._clock())
        while True:
            age = self._clock() - began
            with self._carrier.expect_form():
                found = find()
            if found is not None or age >= settle:
                return found
            self._carrier.wait(min(settle / _LOOKS, max(settle - age, 0.001)))

    def _take_step(
        self,
        out: OutFile,
        send: Callable[[], Answer],
        read_id: Callable[[Mapping[str, Any]], str],
        find: Callable[[], str | None] | None,
    ) -> str:
        carrier, failures, waits = self._carrier, 0, 0
        while True:
            outcome = attempt(send)
            self._sent[out.key] = self._clock()
            fault = carrier.find_fault(outcome)
            if fault is None:
                assert isinstance(outcome, Answer)
                with carrier.expect_form():
                    return read_id(carrier.read_object(outcome))
            if not fault.retry:
                raise carrier.give_up(fault)
            waits, failures = waits + fault.busy, failures + (not fault.busy)
            most = carrier.backoff.max_retries
            taken = not (isinstance(outcome, Answer) and outcome.status in _NOT_TAKEN)
            if taken:
                if find is None or not self._form.rules.finds:
                    raise refuse_to_guess(out, self._config)
                found = self._look_for(out, find)
                if found is not None:
                    return found
            if failures > most or waits > most * _PATIENCE:
                raise carrier.give_up(fault)
            carrier.wait(carrier.backoff.compute_wait(failures + waits - 1, fault.retry_after))

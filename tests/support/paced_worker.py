"""A worker of a shared run that does nothing but ask a server, as fast as it may.

python -m tests.support.paced_worker RUN URL REQUESTS PER_MINUTE LEASE
"""

from __future__ import annotations

import sys
from pathlib import Path

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.stages.rates import share_rates
from dfgen.store.shared.run import SharedRun
from tests.engines.making import make_request


def main() -> None:
    """Ask; what the engine does wrong ends the process."""
    root, url, count, rate, lease = sys.argv[1:]
    run = SharedRun.open_or_create(Path(root), None)
    config = OpenAIConfig(
        model="m", base_url=url, requests_per_minute=float(rate), concurrency=4, max_retries=0
    )
    engine = OpenAIEngine(config)
    with run.join(float(lease)):
        share_rates(run, config, engine)
        requests = (make_request(index, f"Hi {index}") for index in range(int(count)))
        for results in engine.generate(requests):
            assert all(result.failure is None for result in results)


if __name__ == "__main__":
    main()

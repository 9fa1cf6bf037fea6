"""One, two and four processes of the ingress before stub replicas: processor time of a request.

The stubs answer at once. Processes that share nothing but the listening socket take as long for a
request whatever their number, so that each adds a core's worth; on as many cores as processes, and
more for the stubs and the client, the requests a second would show it too.
Run: python -m benchmarks.serving.ingress_processes
"""

from __future__ import annotations

import asyncio
import os
import re

import httpx
import psutil
import ray
from ray import serve
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from benchmarks.serving.processor_time import run
from scalesim.deployments.calls import AnswerHeader, AnswerPart, Call
from scalesim.deployments.ingress import Ingress
from scalesim.deployments.stack import SERVING
from scalesim.deployments.stack_address import Address
from scalesim.headers import CachedTokens
from scalesim.settings import EngineSettings, IngressSettings, StackSettings

PROCESSES = (1, 2, 4)
BODY = b'{"id":"x","object":"chat.completion","choices":[]}'


@serve.deployment
class StubReplica:
    """Answers every request at once with the same."""

    async def answer(self, call: Call) -> AnswerPart:
        """Return the answer."""
        return AnswerHeader(200, "application/json", CachedTokens(20), "stub", 1), BODY


def figures(processes: int) -> dict[str, float]:
    """Return what requests cost so many processes, and how they were shared out."""
    settings = StackSettings(
        engine=EngineSettings(model_path="none", arm="stock"),
        ingress=IngressSettings(port=0, processes=processes),
    )
    with Address("127.0.0.1", 0) as address:
        stub = StubReplica.options(max_ongoing_requests=1000).bind()  # type: ignore[attr-defined]
        ingress = Ingress.options(  # type: ignore[attr-defined]
            num_replicas=processes,
            ray_actor_options={"num_cpus": 0},
            logging_config={"enable_access_log": False},
        ).bind(settings, stub, address.name)
        serve.run(ingress, name="app", route_prefix="/")
        url = f"http://127.0.0.1:{address.port}"
        running = [
            process
            for process in psutil.Process().children(recursive=True)
            if (process.cmdline() or [""])[0].startswith("ray::ServeReplica:app:Ingress")
        ]
        asyncio.run(run(url, [running], 1, False))  # not counted
        found = asyncio.run(run(url, [running], 1, False))
        text = httpx.get(f"{url}/metrics").text
        serve.delete("app")
    pattern = r"^scalesim_request_seconds_count\{.*\} (\S+)$"
    shares = [float(count) for count in re.findall(pattern, text, re.MULTILINE)]
    return {
        "processes": processes,
        "request_ms": found.milliseconds[0],
        "requests_per_s": found.requests_per_s,
        "largest_share": max(shares) / sum(shares),
    }


def main() -> None:
    """Print one table and write JSON."""
    os.environ.update(SERVING)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    serve.start(proxy_location="Disabled")
    rows = [figures(processes) for processes in PROCESSES]
    serve.shutdown()
    ray.shutdown()
    table = Table(*rows[0], title="the ingress before stub replicas")
    for row in rows:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    Console().print(table)
    write("serving/ingress_processes", rows)


if __name__ == "__main__":
    main()

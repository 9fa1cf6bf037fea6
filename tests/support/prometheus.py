"""A real Prometheus that scrapes every second, and its answers."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

START_S = 60.0
SUBSTITUTES = {
    "__rate_interval": "10s",
    "__range": "1m",
    "namespace": ".*",
    "release": ".*",
    "replica": ".*",
    "simulation": ".*",
    "steps": "1000",
    "usd_per_million_tokens": "0.10",
    "usd_per_million_output_tokens": "0.40",
}
"""What Grafana would put in the place of its variables."""


class Prometheus:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the instant vector of a panel's expression."""
        text = re.sub(r"\$(\w+)", lambda found: SUBSTITUTES[found[1]], expr)
        answer = self._http.get("/api/v1/query", params={"query": text}).json()
        assert answer["status"] == "success", (text, answer)
        return list(answer["data"]["result"])

    def samples(self, metric: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return the newest value of each series of a metric, by its own labels."""
        hidden = {"__name__", "instance", "job"}
        return {
            frozenset(item for item in each["metric"].items() if item[0] not in hidden): float(
                each["value"][1]
            )
            for each in self.query(metric)
        }


@contextmanager
def scraping(targets: list[str], key: str, folder: Path) -> Iterator[Prometheus]:
    """Scrape /metrics of all `targets` with a bearer key; skips the test without Prometheus."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    scrape = {
        "job_name": "scalesim",
        "scrape_interval": "1s",
        "authorization": {"credentials": key},
        "static_configs": [{"targets": targets}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [program, f"--web.listen-address={address}"]
    command += [f"--config.file={folder / 'prometheus.yaml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--log.level=error"]
    with subprocess.Popen(command) as process, httpx.Client(base_url=f"http://{address}") as http:
        try:
            _ready(process, http)
            yield Prometheus(http)
        finally:
            process.terminate()


def _ready(process: subprocess.Popen[bytes], http: httpx.Client) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if http.get("/-/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"prometheus is not ready: exit code {process.poll()}")

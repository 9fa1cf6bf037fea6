"""Checks of `scalesim doctor` on ports: those of the API and of metrics."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from scalesim.cli.finding import Check
from scalesim.settings import ANY_ADDRESS, IngressSettings, StackSettings

_CONNECT_S = 1.0
_ANSWER_S = 5.0


def port_checks(ingress: IngressSettings) -> Iterator[Check]:
    """Check the port that `scalesim up` would take: free, or taken by a stack that answers."""
    name = f"port {ingress.port}"
    if _free(ingress.host, ingress.port):
        yield Check(name, True, "free")
        return
    ours = _get(ingress.host, ingress.port, "/health").replace(" ", "") == '{"status":"ok"}'
    found = "a stack of ScaleSim answers" if ours else "taken by something else"
    yield Check(name, ours, found, "stop what listens there, or give `up --port 0`")


def metrics_checks(settings: StackSettings) -> Iterator[Check]:
    """Check that enough ports are left for the metrics of controller and replicas."""
    metrics, key = settings.metrics, settings.ingress.api_key.get_secret_value()

    def ours(port: int) -> bool:
        return "scalesim_" in _get(metrics.host, port, "/metrics", key)

    for whose, ports, needed in (
        ("controller", metrics.controller_ports, 1),
        ("replicas", metrics.replica_ports, settings.replicas),
    ):
        if not ports:
            continue
        taken = [port for port in ports if not _free(metrics.host, port) and not ours(port)]
        where = f"{ports[0]} to {ports[-1]}" if len(ports) > 1 else str(ports[0])
        others = f"something else has {', '.join(map(str, taken))}"
        found = f"{where}, {others if taken else 'free or a stack of ScaleSim answers'}"
        enough = len(ports) - len(taken) >= min(needed, len(ports))
        advice = "stop what listens there, or set other ports in `metrics`"
        yield Check(f"metrics of {whose}", enough, found, advice)


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(_CONNECT_S)
        return probe.connect_ex((_here(host), port)) != 0


def _get(host: str, port: int, path: str, key: str = "") -> str:
    """Return what is answered there, or "" where that is not the expected answer."""
    import httpx

    name = f"[{_here(host)}]" if ":" in host else _here(host)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        # This machine's own address is out of any proxy's reach.
        answer = httpx.get(
            f"http://{name}:{port}{path}", headers=headers, timeout=_ANSWER_S, trust_env=False
        )
    except httpx.HTTPError:
        return ""
    return answer.text if answer.status_code == httpx.codes.OK else ""


def _here(host: str) -> str:
    if host in ANY_ADDRESS:
        return "::1" if ":" in host else "127.0.0.1"
    return host

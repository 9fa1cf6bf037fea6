"""Rows of *Control plane* on engines: how fast they are, and what their GPUs do."""

from __future__ import annotations

from dashboards.board import Panel, Query, quantiles

_CHOSEN = 'replica=~"$replica"'


def _mean(summary: str, chosen: str = "") -> str:
    total, count = (f"{summary}_{part}{chosen}[$__rate_interval]" for part in ("sum", "count"))
    return f"sum(rate({total})) / (sum(rate({count})) > 0)"


_INSIDE = _mean("scalesim_replica_first_piece_seconds")
_WHOLE = _mean("scalesim_first_piece_seconds")


def _gpu(title: str, text: str, unit: str, figure: str) -> Panel:
    legend = "{{Hostname}} {{gpu}}"
    return Panel(title, text, unit, [Query(f"avg by (Hostname, gpu) ({figure})", legend)], width=6)


ENGINES = [
    Panel(
        "Time per output token",
        "Of a stream's tokens after the first, on average over the stream.",
        "s",
        quantiles("scalesim_output_token_seconds"),
        width=8,
    ),
    Panel(
        "Queue time",
        "Of the mean time to the first token: before a replica took the request, and in it, where "
        "the engine queues and computes the prompt.",
        "s",
        [
            Query(f"clamp_min({_WHOLE} - {_INSIDE}, 0)", "before a replica"),
            Query(_INSIDE, "in the replica"),
        ],
        stack=True,
        width=8,
    ),
    Panel(
        "Engine throughput",
        "Tokens generated a second, of answers that came to their end.",
        "short",
        [
            Query(
                "sum by (replica) (rate("
                f"scalesim_replica_output_tokens_total{{{_CHOSEN}}}[$__rate_interval]))",
                "{{replica}}",
            )
        ],
        stack=True,
        width=8,
    ),
]

GPUS = [
    _gpu("Utilisation", "Share of time with a kernel running.", "percent", "DCGM_FI_DEV_GPU_UTIL"),
    _gpu(
        "Memory in use",
        "Weights, KV pool and what else is allocated.",
        "percentunit",
        "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)",
    ),
    _gpu("Power", "Drawn now.", "watt", "DCGM_FI_DEV_POWER_USAGE"),
    _gpu(
        "Errors",
        "The last XID error of the driver; 0 for none.",
        "short",
        "DCGM_FI_DEV_XID_ERRORS",
    ),
]
"""Panels by the names of NVIDIA's DCGM exporter; empty where that is not scraped."""

"""*Simulation*: how far it is, how fast, and what it costs."""

from __future__ import annotations

from dashboards.board import Board, Panel, Query, Variable

_EPOCH = 'scalesim_simulation_epoch{simulation=~"$simulation"}'
_SPEED = f"deriv({_EPOCH}[$__rate_interval])"
_LATENCY = "sum by (le) (rate(scalesim_first_piece_seconds_bucket[$__rate_interval]))"

BOARD = Board(
    "scalesim-simulation",
    "Simulation",
    "Steps, time to the end, stragglers, tokens and their cost.",
    [
        Variable("simulation", "scalesim_simulation_epoch", "simulation"),
        Variable("steps", default="100"),
        Variable("usd_per_million_tokens", default="0.10"),
    ],
    {
        "Progress": [
            Panel("Step", "Newest step told.", "short", [Query(_EPOCH, "{{simulation}}")], True),
            Panel(
                "Time to the end",
                "Left until the step given above, at the present speed.",
                "s",
                [Query(f"clamp_min($steps - {_EPOCH}, 0) / ({_SPEED} > 0)", "{{simulation}}")],
                True,
            ),
            Panel(
                "Step time",
                "Seconds a step, averaged.",
                "s",
                [Query(f"1 / ({_SPEED} > 0)", "{{simulation}}")],
            ),
            Panel(
                "Agents",
                "Agents the simulation has told of.",
                "short",
                [Query('scalesim_simulation_agents{simulation=~"$simulation"}', "{{simulation}}")],
            ),
        ],
        "Calls": [
            Panel(
                "Calls",
                "By HTTP status.",
                "reqps",
                [
                    Query(
                        "sum by (status) (rate(scalesim_requests_total[$__rate_interval]))",
                        "{{status}}",
                    )
                ],
                stack=True,
                width=6,
            ),
            Panel(
                "Waiting",
                "Requests without their first token: queued, or their prompt is computed.",
                "short",
                [Query("sum(scalesim_requests_waiting)", "requests")],
                width=6,
            ),
            Panel(
                "Stragglers",
                "99th percentile over the median: a step waits for its slowest call.",
                "short",
                [
                    Query(
                        f"histogram_quantile(0.99, {_LATENCY}) / "
                        f"histogram_quantile(0.5, {_LATENCY})",
                        "p99 / p50",
                    )
                ],
                width=6,
            ),
            Panel(
                "Distance told when used",
                "A hint is right when it says 0 as the request comes; none: nothing was told.",
                "ops",
                [Query("sum by (told) (rate(scalesim_uses_total[$__rate_interval]))", "{{told}}")],
                stack=True,
                width=6,
            ),
        ],
        "Tokens": [
            Panel(
                "Prompt tokens",
                "By where they were found; miss was computed.",
                "short",
                [
                    Query(
                        "sum by (found) (rate(scalesim_prompt_tokens_total[$__rate_interval]))",
                        "{{found}}",
                    )
                ],
                stack=True,
            ),
            Panel(
                "Cost of the time shown",
                "Prompt tokens at the price above: what was computed, and what was spared.",
                "currencyUSD",
                [
                    Query(
                        f"sum(increase(scalesim_prompt_tokens_total{{found{found}}}[$__range])) "
                        "* $usd_per_million_tokens / 1e6",
                        legend,
                    )
                    for found, legend in (('="miss"', "computed"), ('!="miss"', "spared"))
                ],
                True,
                decimals=4,
            ),
        ],
    },
)

"""*Simulation*: how far it is, how fast, and what it costs."""

from __future__ import annotations

from dashboards.board import Board, Panel, Query, Variable, quantiles

_EPOCH = 'scalesim_simulation_epoch{simulation=~"$simulation"}'
_SPEED = f"deriv({_EPOCH}[$__rate_interval])"
_REPORTED = 'sum(rate(scalesim_uses_total{reported!="none"}[$__rate_interval]))'
_COST = "$usd_per_million_{}tokens / 1e6"

BOARD = Board(
    "scalesim-simulation",
    "Simulation",
    "Steps, time to the end, stragglers, tokens and their cost.",
    [
        Variable("simulation", "scalesim_simulation_epoch", "simulation"),
        Variable("steps", default="100"),
        Variable("usd_per_million_tokens", default="0.10"),
        Variable("usd_per_million_output_tokens", default="0.40"),
    ],
    {
        "Progress": [
            Panel("Step", "Newest step so far.", "short", [Query(_EPOCH, "{{simulation}}")], True),
            Panel(
                "Time to the end",
                "Left until the step given above, at the present speed.",
                "s",
                [Query(f"clamp_min($steps - {_EPOCH}, 0) / ({_SPEED} > 0)", "{{simulation}}")],
                True,
            ),
            Panel(
                "Step time",
                "How long the last step took, from its first report to the next one's.",
                "s",
                [
                    Query(
                        'scalesim_simulation_step_seconds{simulation=~"$simulation"}',
                        "{{simulation}}",
                    )
                ],
            ),
            Panel(
                "Agents",
                "Agents the simulation has reported.",
                "short",
                [Query('scalesim_simulation_agents{simulation=~"$simulation"}', "{{simulation}}")],
            ),
        ],
        "CallTable": [
            Panel(
                "CallTable",
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
                "Time of a call",
                "To its last token. A step waits for its slowest call.",
                "s",
                quantiles("scalesim_request_seconds"),
                width=6,
            ),
            Panel(
                "Stragglers",
                "Share of calls that took more than twice the median of those before them.",
                "percentunit",
                [
                    Query(
                        "sum(rate(scalesim_stragglers_total[$__rate_interval])) / "
                        "sum(rate(scalesim_request_seconds_count[$__rate_interval]))",
                        "stragglers",
                    )
                ],
                width=6,
            ),
        ],
        "Hints": [
            Panel(
                "Coverage",
                "Share of requests whose agent had a reported distance.",
                "percentunit",
                [
                    Query(
                        f"{_REPORTED} / (sum(rate(scalesim_uses_total[$__rate_interval])) > 0)",
                        "reported",
                    )
                ],
                width=6,
            ),
            Panel(
                "Reported distance when used",
                "A hint is right when it says 0 as the request comes; none: no reported distance.",
                "ops",
                [
                    Query(
                        "sum by (reported) (rate(scalesim_uses_total[$__rate_interval]))",
                        "{{reported}}",
                    )
                ],
                stack=True,
                width=6,
            ),
            Panel(
                "Error",
                "Steps by which requests came before or after the step reported, on average.",
                "short",
                [
                    Query(
                        "sum by (side) (rate(scalesim_hint_error_steps_total[$__rate_interval])) "
                        f"/ ignoring(side) group_left() ({_REPORTED} > 0)",
                        "{{side}}",
                    )
                ],
                width=6,
            ),
            Panel(
                "Age",
                "Steps between a hint and the request it foresaw, on average.",
                "short",
                [
                    Query(
                        "sum(rate(scalesim_hint_age_steps_total[$__rate_interval])) "
                        f"/ ({_REPORTED} > 0)",
                        "age",
                    )
                ],
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
                width=8,
            ),
            Panel(
                "Generated tokens",
                "Tokens a second, of answers that came to their end.",
                "short",
                [Query("sum(rate(scalesim_output_tokens_total[$__rate_interval]))", "generated")],
                width=8,
            ),
            Panel(
                "Tokens by simulation",
                "Prompt found, prompt computed and generated; - is all that are not shown.",
                "short",
                [
                    Query(
                        "sum by (simulation, tokens) (rate("
                        'scalesim_simulation_tokens_total{simulation=~"$simulation"}'
                        "[$__rate_interval]))",
                        "{{simulation}} {{tokens}}",
                    )
                ],
                width=8,
            ),
            Panel(
                "Cost of the time shown",
                "At the prices above: prompt tokens computed, those spared, and tokens generated.",
                "currencyUSD",
                [
                    *(
                        Query(
                            "sum(increase(scalesim_prompt_tokens_total"
                            f"{{found{found}}}[$__range])) * {_COST.format('')}",
                            legend,
                        )
                        for found, legend in (('="miss"', "computed"), ('!="miss"', "spared"))
                    ),
                    Query(
                        "sum(increase(scalesim_output_tokens_total[$__range])) "
                        f"* {_COST.format('output_')}",
                        "generated",
                    ),
                ],
                True,
                decimals=4,
            ),
            Panel(
                "Cost by simulation",
                "What each would pay for prompt tokens computed and tokens generated.",
                "currencyUSD",
                [
                    Query(
                        "sum by (simulation) (increase(scalesim_simulation_tokens_total"
                        '{simulation=~"$simulation",tokens="computed"}[$__range])) '
                        f"* {_COST.format('')} + "
                        "sum by (simulation) (increase(scalesim_simulation_tokens_total"
                        '{simulation=~"$simulation",tokens="generated"}[$__range])) '
                        f"* {_COST.format('output_')}",
                        "{{simulation}}",
                    )
                ],
                True,
                decimals=4,
            ),
        ],
    },
)

"""*Control plane*: reports in, plans made, directives out, catalog and health."""

from __future__ import annotations

from dashboards.board import Board, Panel, Query, Variable
from dashboards.engine_rows import ENGINES, GPUS

_PROBES = 'scalesim_replica_probe_seconds_{}{{replica=~"$replica"}}[$__rate_interval]'


def _rates(title: str, text: str, unit: str, **counters: str) -> Panel:
    queries = [
        Query(f"sum(rate(scalesim_{metric}_total[$__rate_interval]))", legend.replace("_", " "))
        for legend, metric in counters.items()
    ]
    return Panel(title, text, unit, queries, width=8)


def _gauges(title: str, text: str, unit: str, **gauges: str) -> Panel:
    queries = [Query(expr, legend.replace("_", " ")) for legend, expr in gauges.items()]
    return Panel(title, text, unit, queries, width=8)


BOARD = Board(
    "scalesim-control",
    "Control plane",
    "The way from a reported distance to moved state, and whether all its parts are well.",
    [Variable("replica", "scalesim_replica_bytes", "replica")],
    {
        "Health": [
            Panel("Replicas", "Alive.", "short", [Query("sum(scalesim_replicas)")], True, width=6),
            Panel(
                "Catalog",
                "1 when the last write arrived.",
                "short",
                [Query("min(scalesim_catalog_up)")],
                True,
                width=6,
            ),
            Panel(
                "Errors",
                "Requests refused by the ingress and answers of 500 or above, in a second.",
                "ops",
                [
                    Query(
                        "sum(rate(scalesim_refused_total[$__rate_interval])) + "
                        '(sum(rate(scalesim_requests_total{status=~"5.."}[$__rate_interval])) '
                        "or vector(0))"
                    )
                ],
                True,
                width=6,
            ),
            Panel(
                "Agents with a distance",
                "Share of all agents that something is foreseen of.",
                "percentunit",
                [Query("sum(scalesim_agents_with_distance) / (sum(scalesim_agents) > 0)")],
                True,
                width=6,
            ),
        ],
        "Engines": ENGINES,
        "GPUs, where the DCGM exporter is scraped": GPUS,
        "Distances in": [
            _rates(
                "Reports",
                "Batches a second.",
                "ops",
                taken="controller_reports",
                stale="controller_stale_reports",
            ),
            _rates(
                "Distances",
                "Agents a second; ignored are not valid or another simulation's.",
                "ops",
                taken="controller_updates",
                ignored="controller_ignored",
            ),
            Panel(
                "Silence",
                "Seconds since a simulation or a replica was heard of.",
                "s",
                [
                    Query("scalesim_simulation_silent_seconds", "{{simulation}}"),
                    Query('scalesim_replica_silent_seconds{replica=~"$replica"}', "{{replica}}"),
                ],
                width=8,
            ),
        ],
        "Directives out": [
            Panel(
                "Plan time",
                "Of the last thousand plans, one replica each.",
                "s",
                [Query("scalesim_plan_seconds", "{{quantile}}")],
                width=8,
            ),
            Panel(
                "Directive latency",
                "From a plan made to its moves taken over by the replica.",
                "s",
                [Query("scalesim_directive_seconds", "{{quantile}}")],
                width=8,
            ),
            Panel(
                "Moves",
                "Sent to replicas, by verb.",
                "ops",
                [
                    Query(
                        "sum by (verb) (rate(scalesim_controller_directives_total"
                        "[$__rate_interval]))",
                        "{{verb}}",
                    )
                ],
                stack=True,
                width=8,
            ),
        ],
        "Processes": [
            Panel(
                "Loops standing still",
                "For how long a loop has done nothing; 0 while it waits for work.",
                "s",
                [
                    Query(
                        "max by (process, replica, loop) (scalesim_loop_stalled_seconds)",
                        "{{process}} {{replica}} {{loop}}",
                    )
                ],
                width=8,
            ),
            Panel(
                "Crashes of loops",
                "Survived, in a second; a few while another process restarts are normal.",
                "ops",
                [
                    Query(
                        "sum by (process, loop) "
                        "(rate(scalesim_loop_crashes_total[$__rate_interval]))",
                        "{{process}} {{loop}}",
                    )
                ],
                width=8,
            ),
            Panel(
                "Requests in replicas",
                "Running or queued in the engine.",
                "short",
                [
                    Query(
                        'sum by (replica) (scalesim_replica_requests_running{replica=~"$replica"})',
                        "{{replica}}",
                    )
                ],
                stack=True,
                width=8,
            ),
            Panel(
                "Health checks",
                "How long an engine takes to answer one.",
                "s",
                [
                    Query(
                        f"sum by (replica) (rate({_PROBES.format('sum')})) / "
                        f"(sum by (replica) (rate({_PROBES.format('count')})) > 0)",
                        "{{replica}}",
                    )
                ],
            ),
            Panel(
                "Messages from engines",
                "Messages a second: what is resident where, and what became of moves.",
                "ops",
                [
                    Query(
                        "sum by (replica) (rate(scalesim_replica_engine_messages_total"
                        '{replica=~"$replica"}[$__rate_interval]))',
                        "{{replica}}",
                    )
                ],
            ),
        ],
        "Catalog": [
            _gauges(
                "Behind",
                "For how long no batch has arrived though there was one.",
                "s",
                lag="scalesim_catalog_lag_seconds",
            ),
            _gauges(
                "DirtyRows",
                "Rows waiting for the next write.",
                "short",
                rows="scalesim_catalog_dirty_rows",
            ),
            _rates(
                "Writes",
                "Rows and failures a second.",
                "ops",
                rows="catalog_rows",
                failures="catalog_failures",
            ),
        ],
        "Learned distances": [
            Panel(
                "Learners",
                "Of requests without a reported distance, the share that each learner would have "
                "had on the device.",
                "percentunit",
                [
                    Query(
                        "max by (simulation, learner) (scalesim_learner_hit_ratio)",
                        "{{learner}} {{simulation}}",
                    )
                ],
            ),
            Panel(
                "Believed",
                "1 for the learner whose order is taken; recency is the engine's own.",
                "short",
                [
                    Query(
                        "max by (simulation, learner) (scalesim_learner_leads)",
                        "{{learner}} {{simulation}}",
                    )
                ],
            ),
        ],
        "Events": [
            _rates(
                "Lost and found",
                "Replicas lost, attached again, requests sent again, streams broken off.",
                "ops",
                lost="controller_replicas_lost",
                resyncs="controller_resyncs",
                retried="retried",
                broken="streams_broken",
            ),
            Panel(
                "Refused by the ingress",
                "By reason.",
                "ops",
                [
                    Query(
                        "sum by (code) (rate(scalesim_refused_total[$__rate_interval]))",
                        "{{code}}",
                    )
                ],
                width=8,
            ),
            _gauges(
                "Table",
                "Memory of the controller's agent table.",
                "bytes",
                table="scalesim_controller_table_bytes",
            ),
        ],
    },
)

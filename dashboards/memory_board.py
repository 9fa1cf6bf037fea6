"""*Memory hits*: is agents' state where it is needed before it is needed?"""

from __future__ import annotations

from dashboards.board import Board, Panel, Query, Variable, quantiles

_TOKENS = "rate(scalesim_prompt_tokens_total{}[$__rate_interval])"
_HIT = '{found!="miss"}'
_PREFETCHES = 'scalesim_prefetches_total{replica=~"$replica"}'


def _share(found: str) -> str:
    return f"sum({_TOKENS.format(found)}) / sum({_TOKENS.format('')})"


def _order(order: str) -> str:
    return f'max(scalesim_device_hit_ratio{{order="{order}"}})'


def _outcomes(outcome: str) -> str:
    chosen = f'scalesim_prefetches_total{{replica=~"$replica",outcome="{outcome}"}}'
    return f"sum(rate({chosen}[$__rate_interval]))"


BOARD = Board(
    "scalesim-memory",
    "Memory hits",
    "Where prompts found their prefix, what the tiers hold, and how well prefetching guesses.",
    [Variable("replica", "scalesim_replica_bytes", "replica")],
    {
        "Hits": [
            Panel(
                "Prompt tokens found",
                "Share of prompt tokens that were not computed again.",
                "percentunit",
                [Query(_share(_HIT))],
                number=True,
                width=6,
                decimals=1,
            ),
            Panel(
                "Found on the device",
                "Share that was already in GPU memory when the request came.",
                "percentunit",
                [Query(_share('{found="device"}'))],
                number=True,
                width=6,
                decimals=1,
            ),
            Panel(
                "Requests",
                "Answered in a second.",
                "reqps",
                [Query("sum(rate(scalesim_requests_total[$__rate_interval]))")],
                number=True,
                width=6,
            ),
            Panel(
                "Tokens spared",
                "Prompt tokens found instead of computed, over the time shown.",
                "short",
                [Query('sum(increase(scalesim_prompt_tokens_total{found!="miss"}[$__range]))')],
                number=True,
                width=6,
            ),
            Panel(
                "Hit rate by tier",
                "Of all prompt tokens; what is missing to 100% was computed.",
                "percentunit",
                [
                    Query(
                        f"sum by (found) ({_TOKENS.format(_HIT)}) "
                        f"/ ignoring(found) group_left sum({_TOKENS.format('')})",
                        "{{found}}",
                    )
                ],
                stack=True,
            ),
            Panel(
                "Time to the first token",
                "Of streams; of other requests the time to the whole answer.",
                "s",
                quantiles("scalesim_first_piece_seconds"),
            ),
        ],
        "Against other orders": [
            Panel(
                "Over LRU",
                "What the stack finds on the device beyond least recently used, in points.",
                "percentunit",
                [Query(f"{_order('stack')} - {_order('lru')}")],
                number=True,
                width=12,
                decimals=1,
                signed=True,
            ),
            Panel(
                "Regret",
                "How far it is from an oracle that fetches on demand; below 0 where fetching ahead "
                "beats it.",
                "percentunit",
                [Query(f"{_order('oracle')} - {_order('stack')}")],
                number=True,
                width=12,
                decimals=1,
                signed=True,
            ),
            Panel(
                "Same requests, same device",
                "Share of a sample of repeated requests whose state is there before they come.",
                "percentunit",
                [Query("max by (order) (scalesim_device_hit_ratio)", "{{order}}")],
                width=12,
            ),
            Panel(
                "Found by kind",
                "Share of requests by the hottest tier that had something of the payload.",
                "percentunit",
                [
                    Query(
                        "sum by (kind, tier) (rate(scalesim_payload_uses_total[$__rate_interval])) "
                        "/ ignoring(tier) group_left() "
                        "(sum by (kind) (rate(scalesim_payload_uses_total[$__rate_interval])) > 0)",
                        "{{kind}} {{tier}}",
                    )
                ],
                width=12,
            ),
        ],
        "Memory": [
            Panel(
                "Agents' state by tier",
                "Bytes; a prefix written through is in device and host memory.",
                "bytes",
                [Query('sum by (tier) (scalesim_replica_bytes{replica=~"$replica"})', "{{tier}}")],
                stack=True,
                width=6,
            ),
            Panel(
                "Agents' state by kind",
                "Bytes of prefixes, adapters and whatever else is managed.",
                "bytes",
                [
                    Query(
                        'sum by (kind, tier) (scalesim_replica_bytes{replica=~"$replica"})',
                        "{{kind}} {{tier}}",
                    )
                ],
                width=6,
            ),
            Panel(
                "Fill of the tiers",
                "A device tier below 90% with misses above means that planning is behind.",
                "percentunit",
                [
                    Query(
                        'sum by (tier, replica) (scalesim_replica_bytes{replica=~"$replica"}) / '
                        "(sum by (tier, replica) "
                        '(scalesim_replica_budget_bytes{replica=~"$replica"}) > 0)',
                        "{{tier}} {{replica}}",
                    )
                ],
                width=6,
            ),
            Panel(
                "Agents by tier",
                "By the hottest tier that holds something of theirs.",
                "short",
                [Query("sum by (tier) (scalesim_agents)", "{{tier}}")],
                stack=True,
                width=6,
            ),
            Panel(
                "Agents by replica",
                "With some of their prefix in a tier; one may be in several.",
                "short",
                [
                    Query(
                        "sum by (tier, replica) "
                        '(scalesim_replica_residents{kind="prefix",replica=~"$replica"})',
                        "{{tier}} {{replica}}",
                    )
                ],
                width=24,
            ),
        ],
        "Prefetches": [
            Panel(
                "Used of issued",
                "Prefetched state that a request then found in place.",
                "percentunit",
                [Query(f"{_outcomes('used')} / ({_outcomes('issued')} > 0)", "used")],
                width=6,
            ),
            Panel(
                "What became of them",
                "late: the request came first. wasted: evicted before use. refused: no room.",
                "ops",
                [Query(f"sum by (outcome) (rate({_PREFETCHES}[$__rate_interval]))", "{{outcome}}")],
                width=6,
            ),
            Panel(
                "Bytes moved ahead",
                "Of prefetches issued, and of those that were used, late or wasted.",
                "Bps",
                [
                    Query(
                        "sum by (outcome) (rate("
                        'scalesim_prefetch_bytes_total{replica=~"$replica"}[$__rate_interval]))',
                        "{{outcome}}",
                    )
                ],
                width=6,
            ),
            Panel(
                "Evictions by cause",
                "plan: by a directive, ahead of need. pressure: the engine had to make room.",
                "ops",
                [
                    Query(
                        "sum by (cause) (rate("
                        'scalesim_evictions_total{replica=~"$replica"}[$__rate_interval]))',
                        "{{cause}}",
                    )
                ],
                width=6,
            ),
        ],
    },
)

"""Who said what: the calls' texts, step by step, as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from scalesim.simulations.arm_run import Run
from scalesim.simulations.workload import Workload


def transcript(run: Run, workload: Workload) -> Iterator[str]:
    """Yield lines: a head for each step, then who said what in it, in the order of the agents."""
    rows = run.calls.rows
    calls = zip(
        rows["step"].tolist(),
        rows["agent"].tolist(),
        run.calls.texts,
        run.calls.errors,
        strict=True,
    )
    for step, group in groupby(calls, key=lambda call: call[0]):
        yield f"step {step}"
        for _, agent, text, error in group:
            said = " ".join(text.split()) if not error else f"(failed: {error})"
            yield f"  {workload.agents[agent]}: {said}"

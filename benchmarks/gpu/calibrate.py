"""Links and prices of this machine, and the calibration file that `scalesim plan` reads.

Run: python -m benchmarks.gpu.calibrate [--only llama-3.1-8b] [--small]
Then: scalesim plan --trace FILE --calibration benchmarks/results/gpu/MODEL.calibration.json
"""

from __future__ import annotations

import json

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu.engines import Setup, engine
from benchmarks.gpu.link_speeds import by_block, storage_bytes_per_s
from benchmarks.gpu.options import Options, main
from benchmarks.gpu.prices import Prices, prices
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.result_file import ResultFile
from benchmarks.gpu.shapes import parameters_of
from scalesim.policies.capacity.hardware import GPUS, GpuModel
from scalesim.simulations.report.provenance import hardware
from scalesim.simulations.workload import PromptSize

_SIZE = PromptSize(2048, 64, 64)
# Everything fits, and each agent has an adapter of its own: what is timed is asked for alone.
FULL = (
    Setup("llama-3.1-8b", 48, _SIZE, 1.0, 2.5, adapters=48, rank=64),
    Setup("llama-3.2-1b", 48, _SIZE, 1.0, 2.5, adapters=48, rank=64),
)
SMALL = (
    Setup("tiny", 6, PromptSize(256, 16, 8), 1.0, 2.5, adapters=6, distinct=True, dtype="float32"),
)


async def run(options: Options) -> bool:
    """Measure links, then each model, and write its calibration file."""
    small = options.small
    results = ResultFile("calibrate", options.out, options.minutes)
    links = by_block(2**20 if small else 2**28)
    storage = storage_bytes_per_s(2**22 if small else 2**30, options.scratch)
    results.add("links", {"GB_per_s": links, "storage_bytes_per_s": round(storage)})
    for setup in SMALL if small else FULL:
        if not options.wants(setup.model) or not results.room(setup.model, 60.0):
            continue
        async with engine(setup, "scalesim", options.scratch) as host:
            steered = DrivenEngine(host)
            try:
                found = await prices(steered, Prompts(setup, 1), setup.concurrency)
            finally:
                await steered.stop()
        name = gpu_name()
        bytes_per_token = steered.bytes_per_token
        parameters = parameters_of(options.scratch / setup.model)
        values = calibration(found, GPUS[name], parameters, bytes_per_token, storage)
        figures = {"prices": found._asdict(), "shares_of": name, "calibration": values}
        results.add(setup.model, {"setup": setup._asdict(), **figures})
        target = options.out / f"{setup.model}.calibration.json"
        target.write_text(json.dumps(values, indent=1) + "\n")
        print(setup.model, figures)
    return True


def gpu_name() -> str:
    """Return which GPU of `policies.capacity` this is; h100 where it is not one of them."""
    words = str(hardware()["gpu"]).lower().replace("-", " ").split()
    return next((name for name in GPUS if name in words), "h100")


def calibration(
    found: Prices, gpu: GpuModel, parameters: int, kv_bytes_per_token: int, storage: float
) -> dict[str, float]:
    """Return values of `policies.capacity.hardware.Calibration`: shares of the GPU's peaks."""
    read = 2 * parameters + found.batch * found.context_tokens * kv_bytes_per_token
    return {
        "prefill_share": 2 * parameters / (found.prefill_token_s * gpu.flops),
        "decode_share": read / (found.output_token_s * gpu.memory_bytes_per_s),
        "link_share": found.prefix_bytes_per_s / gpu.link_bytes_per_s,
        "storage_bytes_per_s": storage,
    }


if __name__ == "__main__":
    main(run)

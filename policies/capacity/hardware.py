"""Constants of accelerators and language models, each with its source.

Peak numbers are the makers'; what is reached of them is set by `Calibration`, an estimate from
what others measured until it is replaced by measurements.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.activation_trace import LARGEST

MIB = 2**20


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One accelerator.

    Attributes:
        memory_bytes: Device memory.
        memory_bytes_per_s: Its bandwidth.
        flops: Dense bf16 operations per second.
        link_bytes_per_s: Host link, one direction.
    """

    memory_bytes: float
    memory_bytes_per_s: float
    flops: float
    link_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Llm:
    """One language model.

    Attributes:
        parameters: Count.
        layers: Transformer layers.
        kv_heads: Key-value heads a layer.
        head_dim: Width of a head.
        value_dim: Width of a head's value; 0 where it is `head_dim`.
        latent_dim: Numbers a layer and token of latent attention (MLA), which every
            tensor-parallel rank keeps whole; 0 for keys and values by head.
        parameter_bytes: Bytes of a parameter on the device.
        kv_number_bytes: Bytes of a number in the KV cache.
        query_heads: Query heads a layer; 0 leaves the arithmetic of attention out.
    """

    parameters: float
    layers: int
    kv_heads: int
    head_dim: int
    value_dim: int = 0
    latent_dim: int = 0
    parameter_bytes: float = 2.0
    kv_number_bytes: int = 2
    query_heads: int = 0

    @property
    def weight_bytes(self) -> float:
        """Bytes of all parameters."""
        return self.parameter_bytes * self.parameters

    @property
    def kv_bytes_per_token(self) -> int:
        """Key and value of every layer, on an engine of one GPU."""
        return self.rank_kv_bytes_per_token(1)

    def rank_kv_bytes_per_token(self, ranks: int) -> int:
        """Return what one of `ranks` tensor-parallel ranks keeps of a token.

        Heads are dealt out; with fewer heads than ranks each rank keeps one. Source: SGLang,
        `ModelConfig.get_num_kv_heads`.
        """
        heads = max(1, self.kv_heads // ranks)
        numbers = self.latent_dim or heads * (self.head_dim + (self.value_dim or self.head_dim))
        return self.layers * numbers * self.kv_number_bytes


GPUS = {
    # Memory as `nvidia-smi` reports it, 1 to 7% more than the name says ("Why does an NVIDIA H100
    # 80GB card offer 85.52 GB?", thundergolfer.com); the rest from NVIDIA's data sheets, as quoted
    # by the page named with each. Their bf16 figures "with sparsity" are twice the dense ones, and
    # their PCIe figures count both directions (64 GB/s for PCIe 4.0 x16, 128 GB/s for 5.0 x16).
    # L4: 300 GB/s, 121 TFLOPS, PCIe 4.0 x16 (inferenceengineering.tech, hardware cheat sheet).
    "l4": GpuModel(23_034 * MIB, 300e9, 121e12, 32e9),
    # A10G: 600 GB/s, 70 TFLOPS, PCIe 4.0 x16 (baseten.co, "NVIDIA A10 vs A10G").
    "a10g": GpuModel(23_028 * MIB, 600e9, 70e12, 32e9),
    # L40S: 864 GB/s, 362.05 TFLOPS, PCIe 4.0 x16 (mullet.se, product 355414).
    "l40s": GpuModel(46_068 * MIB, 864e9, 362e12, 32e9),
    # A100 80GB SXM: 2,039 GB/s, 312 TFLOPS, PCIe 4.0 (glennklockwood.com, processors/A100).
    "a100": GpuModel(81_920 * MIB, 2039e9, 312e12, 32e9),
    # H100 SXM: 3.35 TB/s, 989.4 TFLOPS, PCIe 5.0 (glennklockwood.com, processors/h100).
    "h100": GpuModel(81_559 * MIB, 3350e9, 989e12, 64e9),
    # H200 SXM: 4.8 TB/s, 989 TFLOPS as the H100, PCIe 5.0 (inferenceengineering.tech, as above).
    "h200": GpuModel(143_771 * MIB, 4800e9, 989e12, 64e9),
}

LLMS = {
    # Shapes as in each model's config.json; parameters are the sum of the matrices and vectors that
    # it describes, embeddings included, and agree with the model cards (8.03, 70.6, 7.61, 32.8,
    # 8.2 B).
    "llama-3.1-8b": Llm(8_030_261_248, 32, 8, 128, query_heads=32),
    "llama-3.1-70b": Llm(70_553_706_496, 80, 8, 128, query_heads=64),
    "qwen2.5-7b": Llm(7_615_616_512, 28, 4, 128, query_heads=28),
    "qwen2.5-32b": Llm(32_763_876_352, 64, 8, 128, query_heads=40),
    "qwen3-8b": Llm(8_190_735_360, 36, 8, 128, query_heads=32),
}


PROCESSOR = ("launch_s", "call_s", "admission_s", "insertion_s")
"""Values of a calibration that are a processor's; may be 0."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How much of the peak is reached; replace by measurements of the machine at hand.

    The defaults are estimates. `slots` and the three counts of tokens are a guess at the turns of a
    simulation, without a source: a trace that names tokens replaces them.

    Attributes:
        prefill_share: Share of peak FLOPS in prefill. Between the 38 to 43% of bf16 training on
            H100 (Llama 3, arXiv 2407.21783) and the 76% of large-batch prefill on TPU v4 (Pope et
            al., Efficiently scaling transformer inference, MLSys 2023).
        decode_share: Share of memory bandwidth in decode. The low end of the 60 to 85% that serving
            engines reach (glossary of open-source-ai.tech, "model bandwidth utilization").
        link_share: Share of the host link. An A100 SXM copies 24.8 of 32 GB/s in one piece
            (nvbandwidth, forums.developer.nvidia.com, topic 352186); pages of KV are smaller.
        storage_bytes_per_s: Reads of one data-centre NVMe drive a GPU; the data sheet of Samsung's
            PM9A3 says 6.5 GB/s in sequence.
        memory_share: Share of device memory for weights and KV. SGLang takes 0.828 on an H100
            (sgl-project/sglang, issue 29092); it takes less of a smaller GPU.
        slots: Requests decoded together at most.
        fresh_tokens: Prompt tokens of a request that are new, after the agent's own prefix.
        output_tokens: Output tokens of a request whose trace names none.
        state_tokens: Prefix of an agent whose trace names none.
        launch_s: Least that a prefill pass takes as the processor launches its kernels one by one;
            0 where a graph launches them all, as it does in decode.
        call_s: Seconds of a processor for each request before the engine: its caller, tokens,
            identity.
        admission_s: Seconds of the scheduler for each request that joins a batch: what it finds
            cached, the copies it needs, its place in the batch.
        insertion_s: Seconds of the scheduler each time that a request's state is put into the
            prefix tree: after its prefill and at its end.

    The last four are for emulation (`engine.emulation`): the plan counts the device's time alone.

    Raises:
        InvalidRequestError: A value is not a number above 0 (0 seconds are one), or a share is
            above 1.
    """

    prefill_share: float = 0.5
    decode_share: float = 0.6
    link_share: float = 0.78
    storage_bytes_per_s: float = 6e9
    memory_share: float = 0.83
    slots: int = 64
    fresh_tokens: int = 128
    output_tokens: int = 128
    state_tokens: int = 2048
    launch_s: float = 0.0
    call_s: float = 0.0
    admission_s: float = 0.0
    insertion_s: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            most = 1 if field.name.endswith("_share") else LARGEST
            is_free = value == 0 and field.name in PROCESSOR
            if type(value) not in (int, float) or not (is_free or 0 < value <= most):
                raise InvalidRequestError(
                    f"calibration: {field.name} is {value!r}; give a number above 0, up to {most}",
                    field.name,
                )

"""Constants of accelerators and language models, each with its source.

Peak numbers are from data sheets; what is reached of them is set by `Calibration`, assumed unless
measured.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
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
    """One language model in bf16.

    Attributes:
        parameters: Count.
        layers: Transformer layers.
        kv_heads: Key-value heads a layer.
        head_dim: Width of a head.
    """

    parameters: float
    layers: int
    kv_heads: int
    head_dim: int

    @property
    def weight_bytes(self) -> float:
        """Two bytes a parameter."""
        return 2 * self.parameters

    @property
    def kv_bytes_per_token(self) -> int:
        """Key and value of every layer, two bytes a number."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim


GPUS = {
    # NVIDIA L4 data sheet: 24 GB, 300 GB/s, 121 TFLOPS dense, PCIe 4.0 x16.
    "l4": Gpu(24e9, 300e9, 121e12, 32e9),
    # NVIDIA L40S data sheet: 48 GB, 864 GB/s, 362 TFLOPS dense, PCIe 4.0 x16.
    "l40s": Gpu(48e9, 864e9, 362e12, 32e9),
    # NVIDIA A100 80GB SXM data sheet: 2,039 GB/s, 312 TFLOPS dense, PCIe 4.0 x16.
    "a100": Gpu(80e9, 2039e9, 312e12, 32e9),
    # NVIDIA H100 SXM data sheet: 80 GB, 3.35 TB/s, 989 TFLOPS dense, PCIe 5.0 x16.
    "h100": Gpu(80e9, 3350e9, 989e12, 64e9),
    # NVIDIA H200 SXM data sheet: 141 GB, 4.8 TB/s, 989 TFLOPS dense, PCIe 5.0 x16.
    "h200": Gpu(141e9, 4800e9, 989e12, 64e9),
}

LLMS = {
    # config.json of meta-llama/Llama-3.1-8B and -70B.
    "llama-3.1-8b": Llm(8.03e9, 32, 8, 128),
    "llama-3.1-70b": Llm(70.6e9, 80, 8, 128),
    # config.json of Qwen/Qwen2.5-7B-Instruct and Qwen/Qwen3-8B.
    "qwen2.5-7b": Llm(7.62e9, 28, 4, 128),
    "qwen3-8b": Llm(8.19e9, 36, 8, 128),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """How much of the peak is reached; replace by measurements of the machine at hand.

    Attributes:
        prefill_share: Of peak FLOPS in prefill; 0.4 to 0.6 is usual for models of this size.
        decode_share: Of memory bandwidth in decode.
        link_share: Of the host link for paged KV copies; 25 of 32 GB/s on PCIe 4.0.
        storage_bytes_per_s: Reads of one NVMe drive.
        memory_share: Of device memory the engine takes; SGLang's `mem_fraction_static`.
        slots: Requests decoded together at most.
        fresh_tokens: Prompt tokens of a request that are new, after the agent's own prefix.
        output_tokens: Of a request whose trace names none.
        state_tokens: Prefix of an agent whose trace names none.
    """

    prefill_share: float = 0.5
    decode_share: float = 0.6
    link_share: float = 0.78
    storage_bytes_per_s: float = 6e9
    memory_share: float = 0.88
    slots: int = 64
    fresh_tokens: int = 128
    output_tokens: int = 128
    state_tokens: int = 2048

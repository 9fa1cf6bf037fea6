import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.fleet import HOST_PARTS, MOST_GPUS, FleetQuestion, capacity_plan
from scalesim.policies.capacity.hardware import GPUS, LLMS, Calibration
from scalesim.policies.capacity.roofline import RooflineEngine
from scalesim.policies.workloads import generate

POLICIES = ["lru", "distance", "oracle"]


@pytest.fixture(scope="module")
def trace():
    return generate("event-queue", 50, 60, 0).trace


@pytest.fixture
def engine():
    return RooflineEngine(GPUS["h100"], LLMS["llama-3.1-8b"], Calibration())


def planned(trace, engine, names=POLICIES, **question):
    return capacity_plan(trace, engine, FleetQuestion(**question), names)


def test_constants_agree_with_what_is_known():
    assert LLMS["llama-3.1-8b"].kv_bytes_per_token == 131_072
    engine = RooflineEngine(GPUS["h100"], LLMS["llama-3.1-8b"], Calibration())
    assert 50e9 < engine.kv_bytes < 60e9
    assert 20_000 < engine.prefill_tokens_per_s < 45_000


def test_one_gpu_by_hand(engine):
    """Llama 3.1 8B on an H100, agents of 2,048 tokens: worked out with a pocket calculator."""
    state_bytes = 2048 * 131_072
    assert engine.kv_bytes == pytest.approx(85.52e9 * 0.83 - 16.06e9, rel=1e-4)
    assert engine.prefill_tokens_per_s == pytest.approx(30_791, rel=1e-4)
    assert engine.slots(state_bytes) == 64
    assert engine.slots(2e9) == 27
    assert engine.output_token_s(state_bytes) == pytest.approx(258.4e-6, rel=1e-3)
    # 20 requests at a time: all weights and 20 contexts are read for 20 tokens.
    few = (16.06e9 + 20 * state_bytes) / (0.6 * 3.35e12) / 20
    assert engine.output_token_s(state_bytes, 20) == pytest.approx(few, rel=1e-3)
    shared = engine.costs(state_bytes, gpus=2, at_once=40)
    assert shared.output_token_s == pytest.approx(few / 2, rel=1e-3)
    costs = engine.costs(state_bytes, gpus=2)
    assert costs.link_bytes_per_s == pytest.approx(2 * 49.92e9)
    assert costs.request_s == pytest.approx((128 / 30_791 + 128 * 258.4e-6) / 2, rel=1e-3)
    measured = RooflineEngine(GPUS["h100"], LLMS["llama-3.1-8b"], Calibration(prefill_share=0.25))
    assert measured.prefill_tokens_per_s == pytest.approx(engine.prefill_tokens_per_s / 2)


@pytest.mark.parametrize(
    ("name", "hidden", "inner", "heads", "vocabulary", "extra"),
    [
        ("llama-3.1-8b", 4096, 14336, 32, 128256, 0),
        ("llama-3.1-70b", 8192, 28672, 64, 128256, 0),
        ("qwen2.5-7b", 3584, 18944, 28, 152064, (28 + 2 * 4) * 128),  # biases of q, k, v
        ("qwen2.5-32b", 5120, 27648, 40, 152064, (40 + 2 * 8) * 128),
        ("qwen3-8b", 4096, 12288, 32, 151936, 2 * 128),  # norms of q and k
    ],
)
def test_parameters_are_the_sum_of_what_config_json_describes(
    name, hidden, inner, heads, vocabulary, extra
):
    llm = LLMS[name]
    attention = 2 * hidden * (heads + llm.kv_heads) * llm.head_dim
    layer = attention + 3 * hidden * inner + 2 * hidden + extra
    assert llm.parameters == 2 * vocabulary * hidden + llm.layers * layer + hidden


@pytest.mark.parametrize(
    "wrong", [{"slots": float("nan")}, {"link_share": 1.5}, {"output_tokens": 0}, {"slots": True}]
)
def test_a_calibration_is_checked(wrong):
    with pytest.raises(InvalidRequestError) as caught:
        Calibration(**wrong)
    assert caught.value.field in wrong


def test_a_larger_batch_makes_tokens_cheaper(engine):
    assert engine.output_token_s(1e9) < engine.output_token_s(20e9)
    assert engine.slots(1e12) == 1


@pytest.mark.slow
def test_foresight_needs_no_more_gpus_and_the_fleet_keeps_its_promise(trace, engine):
    report = planned(trace, engine, agents=5000, step_s=2.0)
    rows = report["policies"]
    assert rows["oracle"]["gpus"] <= rows["distance"]["gpus"] <= rows["lru"]["gpus"]
    for row in rows.values():
        assert row["step_s"]["p50"] <= row["step_s"]["p95"] <= 2.0
        assert row["host_bytes"] + row["storage_bytes"] == pytest.approx(report["state_bytes"])
    fewer = planned(trace, engine, agents=5000, gpus=rows["lru"]["gpus"] - 1)
    assert fewer["policies"]["lru"]["step_s"]["p95"] > 2.0
    assert "model, not a measurement" in report["note"]


def test_a_step_time_takes_no_more_host_memory_than_it_needs(trace, engine):
    loose = planned(trace, engine, ["lru"], agents=5000, step_s=600.0)["policies"]["lru"]
    assert (loose["gpus"], loose["host_bytes"]) == (1, 0)
    tight = planned(trace, engine, ["lru"], agents=5000, step_s=2.0, host_bytes_per_gpu=1e13)
    row, part = tight["policies"]["lru"], tight["state_bytes"] / HOST_PARTS
    assert part <= row["host_bytes"] <= tight["state_bytes"]
    less = {"gpus": row["gpus"], "host_bytes_per_gpu": (row["host_bytes"] - part) / row["gpus"]}
    slower = planned(trace, engine, ["lru"], agents=5000, **less)
    assert slower["policies"]["lru"]["step_s"]["p95"] > 2.0


@pytest.mark.slow
def test_a_step_time_out_of_reach_says_so(trace, engine):
    rows = planned(trace, engine, agents=10_000_000, step_s=1e-3)["policies"]
    assert rows["lru"]["gpus"] is None
    assert MOST_GPUS >= 1000


def test_little_host_memory_makes_misses_dearer(trace, engine):
    ample = planned(trace, engine, agents=5000, gpus=2, host_bytes_per_gpu=1e13)["policies"]["lru"]
    scarce = planned(trace, engine, agents=5000, gpus=2, host_bytes_per_gpu=1e10)["policies"]["lru"]
    assert ample["storage_bytes"] == 0
    assert scarce["stall_share"] > ample["stall_share"]


def test_weights_must_fit():
    with pytest.raises(InvalidRequestError, match="larger GPU"):
        RooflineEngine(GPUS["h100"], LLMS["llama-3.1-70b"], Calibration())


@pytest.mark.parametrize("field", ["agents", "gpus", "step_s", "host_bytes_per_gpu"])
def test_numbers_must_be_above_zero(trace, engine, field):
    with pytest.raises(InvalidRequestError, match=field):
        planned(trace, engine, **{"agents": 10, field: 0})


def test_no_more_gpus_are_asked_about_than_are_searched(trace, engine):
    with pytest.raises(InvalidRequestError, match="gpus"):
        planned(trace, engine, agents=10, gpus=MOST_GPUS + 1)


def test_adapters_take_memory_and_time(trace, engine):
    without = planned(trace, engine, ["lru"], agents=500)["policies"]["lru"]
    shared = planned(trace, engine, ["lru"], agents=500, adapters=4)["policies"]["lru"]
    own = planned(trace, engine, ["lru"], agents=500, adapters=500)["policies"]["lru"]
    assert without["step_s"]["p50"] <= shared["step_s"]["p50"] < own["step_s"]["p50"]
    assert shared["hit_ratio"] <= without["hit_ratio"]


def test_slots_must_leave_memory_to_state(trace, engine):
    with pytest.raises(InvalidRequestError, match="fewer slots"):
        planned(trace, engine, ["lru"], agents=500, adapters=4, adapter_slots=1000)


def test_distances_bring_what_is_stored_before_it_is_asked_for(trace, engine):
    rows = planned(trace, engine, agents=2000, gpus=4, host_bytes_per_gpu=5e9, pause_s=60.0)
    rows = rows["policies"]
    assert rows["distance"]["stall_share"] < 0.5 * rows["lru"]["stall_share"]

import numpy as np
import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.workloads import WORKLOADS, generate


@pytest.mark.parametrize("name", WORKLOADS)
class TestEveryWorkload:
    def test_same_seed_same_trace(self, name):
        first, again, other = (generate(name, 30, 40, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.trace.agent, again.trace.agent)
        np.testing.assert_array_equal(first.foreseen, again.foreseen)
        assert not np.array_equal(first.trace.agent, other.trace.agent)

    def test_shape(self, name):
        trace, foreseen = generate(name, 30, 40, 0)
        assert foreseen.shape == (40, 30)
        assert foreseen.dtype == np.float32
        assert not np.isnan(foreseen).any()
        assert (foreseen >= 0).all()
        assert (np.diff(trace.step) >= 0).all()
        assert 0 <= trace.agent.min() <= trace.agent.max() < 30


@pytest.mark.parametrize("name", ["event-queue", "activity", "spatial", "workflow", "diffusion"])
def test_who_is_foreseen_for_a_step_acts_in_it(name):
    trace, foreseen = generate(name, 60, 100, 0)
    acted = np.zeros(foreseen.shape, bool)
    acted[trace.step, trace.agent] = True
    near = foreseen < 1
    assert near[acted].mean() > 0.6, "most of those who act were foreseen"
    assert acted[near].mean() > 2 * acted.mean(), "and foresight is far better than chance"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(("nope", 9, 9), "workload"), (("zipf", 3, 9), "agents"), (("zipf", 9, 0), "steps")],
)
def test_what_cannot_be_made_is_refused(arguments, field):
    with pytest.raises(InvalidRequestError) as caught:
        generate(*arguments, seed=0)
    assert caught.value.field == field

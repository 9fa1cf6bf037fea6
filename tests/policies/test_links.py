from itertools import pairwise

import pytest

from scalesim.errors import ConfigurationError
from scalesim.policies.links import LinkMeter, Links
from scalesim.vocabulary import Flow

GB = 10**9


@pytest.mark.parametrize("field", ["host_bytes_per_s", "rebuild_bytes_per_s", "window_s"])
def test_links_without_speed_are_refused(field):
    with pytest.raises(ConfigurationError, match=field):
        Links(**{field: 0.0})


def observed(*flows):
    meter = LinkMeter()
    for before, after in pairwise(flows):
        meter.observe(before, after)
    return meter.links


def test_speeds_are_assumed_until_something_moved():
    assert LinkMeter().links == Links()
    assert observed(Flow("prefix", issued=1), Flow("prefix", issued=5)) == Links()


def test_each_link_is_measured_by_what_it_carried():
    flow = Flow("prefix", loaded_bytes=50 * GB, loaded_s=1.0, computed_bytes=GB, computed_s=4.0)
    links = observed(Flow("prefix"), flow)
    assert links.host_bytes_per_s == pytest.approx(50 * GB, rel=0.01)
    assert links.rebuild_bytes_per_s == pytest.approx(0.25 * GB, rel=0.01)
    assert links.storage_bytes_per_s == Links().storage_bytes_per_s
    staged = flow._replace(staged_bytes=2 * GB, staged_s=1.0)
    assert observed(flow, staged).storage_bytes_per_s == pytest.approx(2 * GB, rel=0.01)


def test_a_link_that_became_slower_is_believed_after_a_while():
    flows = [Flow("prefix")]
    for speed in [40 * GB] * 5 + [10 * GB] * 60:
        last = flows[-1]
        flows.append(
            last._replace(loaded_bytes=last.loaded_bytes + speed, loaded_s=last.loaded_s + 1.0)
        )
    assert observed(*flows).host_bytes_per_s == pytest.approx(10 * GB, rel=0.02)
    assert observed(*flows[:6]).host_bytes_per_s == pytest.approx(40 * GB, rel=0.02)


def test_long_copies_count_for_more_than_short_ones():
    short = Flow("prefix", loaded_bytes=10**6, loaded_s=0.01)
    long = Flow("prefix", loaded_bytes=10**6 + 20 * GB, loaded_s=1.01)
    assert observed(Flow("prefix"), short, long).host_bytes_per_s > 19 * GB


def test_an_engine_that_started_again_teaches_nothing_wrong():
    flow = Flow("prefix", loaded_bytes=50 * GB, loaded_s=1.0)
    assert observed(Flow("prefix"), flow, Flow("prefix")) == observed(Flow("prefix"), flow)

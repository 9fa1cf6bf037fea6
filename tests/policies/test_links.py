from itertools import pairwise

import pytest

from scalesim.errors import ConfigurationError
from scalesim.policies.links import LinkMeter, Links
from scalesim.vocabulary import TransferStats

GB = 10**9


@pytest.mark.parametrize("field", ["host_bytes_per_s", "rebuild_bytes_per_s", "window_s"])
def test_links_without_speed_are_refused(field):
    with pytest.raises(ConfigurationError, match=field):
        Links(**{field: 0.0})


def observed(*transfers):
    meter = LinkMeter()
    for before, after in pairwise(transfers):
        meter.observe(before, after)
    return meter.links


def test_speeds_are_assumed_until_something_moved():
    assert LinkMeter().links == Links()
    assert observed(TransferStats("prefix", issued=1), TransferStats("prefix", issued=5)) == Links()


def test_each_link_is_measured_by_what_it_carried():
    transfer = TransferStats(
        "prefix", loaded_bytes=50 * GB, loaded_s=1.0, computed_bytes=GB, computed_s=4.0
    )
    links = observed(TransferStats("prefix"), transfer)
    assert links.host_bytes_per_s == pytest.approx(50 * GB, rel=0.01)
    assert links.rebuild_bytes_per_s == pytest.approx(0.25 * GB, rel=0.01)
    assert links.storage_bytes_per_s == Links().storage_bytes_per_s
    staged = transfer._replace(staged_bytes=2 * GB, staged_s=1.0)
    assert observed(transfer, staged).storage_bytes_per_s == pytest.approx(2 * GB, rel=0.01)


def test_a_link_that_became_slower_is_believed_after_a_while():
    transfers = [TransferStats("prefix")]
    for speed in [40 * GB] * 5 + [10 * GB] * 60:
        last = transfers[-1]
        transfers.append(
            last._replace(loaded_bytes=last.loaded_bytes + speed, loaded_s=last.loaded_s + 1.0)
        )
    assert observed(*transfers).host_bytes_per_s == pytest.approx(10 * GB, rel=0.02)
    assert observed(*transfers[:6]).host_bytes_per_s == pytest.approx(40 * GB, rel=0.02)


def test_long_copies_count_for_more_than_short_ones():
    short = TransferStats("prefix", loaded_bytes=10**6, loaded_s=0.01)
    long = TransferStats("prefix", loaded_bytes=10**6 + 20 * GB, loaded_s=1.01)
    assert observed(TransferStats("prefix"), short, long).host_bytes_per_s > 19 * GB


def test_an_engine_that_started_again_teaches_nothing_wrong():
    transfer = TransferStats("prefix", loaded_bytes=50 * GB, loaded_s=1.0)
    assert observed(TransferStats("prefix"), transfer, TransferStats("prefix")) == observed(
        TransferStats("prefix"), transfer
    )

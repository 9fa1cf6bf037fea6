from scalesim.deployments.engine.payloads.meter import Meter


def test_a_link_is_busy_from_the_first_copy_to_the_last_arrival():
    now = 10.0
    meter = Meter(lambda: now)
    meter.settle(busy=False)
    assert (meter.carried_bytes, meter.busy_s) == (0, 0)
    meter.begin(100)
    now = 11.0
    meter.begin(50)
    meter.settle(busy=True)
    assert meter.carried_bytes == 0, "not known how long it takes yet"
    now = 12.5
    meter.settle(busy=False)
    assert (meter.carried_bytes, meter.busy_s) == (150, 2.5)
    now = 99.0
    meter.settle(busy=False)
    meter.begin(10)
    now = 100.0
    meter.settle(busy=False)
    assert (meter.carried_bytes, meter.busy_s) == (160, 3.5)

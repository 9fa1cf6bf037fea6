"""A stack of one machine is refused before anything of it starts."""

import pytest
import ray

from scalesim.deployments.preflight import site_here
from scalesim.deployments.stack import Stack
from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings


def settings(tiny_model: str, replicas: int = 1, **engine: object) -> StackSettings:
    values = {"model_path": tiny_model, "device": "cpu", **engine}
    return StackSettings.model_validate(
        {"engine": values, "replicas": replicas, "ingress": {"port": 0}}
    )


@pytest.mark.slow
def test_more_than_there_is_never_gets_as_far_as_ray(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda *a, **k: pytest.fail("Ray was started"))
    with pytest.raises(
        ConfigurationError, match=r"host_ratio 1e\+06 needs .* for each of 3 engines"
    ):
        Stack(settings(tiny_model, 3, host_ratio=1e6)).start()


@pytest.mark.slow
def test_this_machine_is_the_site(tiny_model: str) -> None:
    site = site_here(settings(tiny_model, 3))
    assert (site.on_cpu, site.engines) == (True, 3)
    assert site.llm is not None
    assert site.llm.kv_number_bytes == 4  # float32 on a CPU

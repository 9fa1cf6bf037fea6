"""What settings refuse by themselves."""

from typing import Any

import pytest

from scalesim.errors import ConfigurationError
from scalesim.settings import EngineSettings, load


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"host_bytes": 2**30, "host_ratio": 2.0}, "both size the host tier"),
        ({"extra_args": {"tp_size": 2}}, r"set engine\.tp_size instead"),
        ({"extra_args": {"hicache_ratio": 4.0}}, r"set engine\.host_ratio instead"),
        ({"extra_args": {"hicache_size": 64}}, r"set engine\.host_bytes instead"),
        ({"extra_args": {"max_total_tokens": 64}}, r"set engine\.device_tokens instead"),
        ({"tp_size": 0}, "tp_size"),
        ({"host_share": 1.0}, "host_share"),
    ],
)
def test_an_engine_set_twice_or_wrongly(engine: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(EngineSettings, {"model_path": "m", **engine})

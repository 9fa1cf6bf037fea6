"""`import scalesim.auto`: a program without `scalesim run` names its agents too."""

import os
import subprocess
import sys

import pytest

from tests.support.fake_stack import FakeStack

PROGRAM = """
import scalesim.auto
import openai, scalesim

asked = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
with openai.OpenAI() as client:
    client.chat.completions.create(**asked)
    with scalesim.agent("ann"):
        client.chat.completions.create(**asked)
"""


@pytest.mark.slow
def test_clients_find_the_stack_and_name_who_acts() -> None:
    others = {name: "http://127.0.0.1:9/v1" for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE")}
    with FakeStack() as stack:
        environment = {**os.environ, **others, "SCALESIM_BASE_URL": stack.base_url}
        environment.pop("SCALESIM_SIMULATION", None)
        command = [sys.executable, "-c", PROGRAM]
        subprocess.run(command, env=environment, check=True, timeout=120)
    assert stack.callers == [(None, "default"), ("ann", "default")]

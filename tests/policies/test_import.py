import subprocess
import sys

import pytest

HEAVY = ["ray", "torch", "sglang", "redis", "numba", "mesa", "httpx"]


def test_no_module_of_policies_imports_anything_heavy():
    code = (
        "import importlib, pkgutil, sys\n"
        "from scalesim import policies\n"
        "walk = pkgutil.walk_packages(policies.__path__, 'scalesim.policies.')\n"
        "modules = [module.name for module in walk]\n"
        "assert 'scalesim.policies.replay.timeline' in modules\n"
        "for name in modules: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_replay_runs_without_numba():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from scalesim.policies.replay.case import Case\n"
        "from scalesim.policies.replay.replay_policies import POLICIES, replay\n"
        "from scalesim.policies.workloads import generate\n"
        "trace = generate('event-queue', 20, 20, 0).trace\n"
        "for prefetch in (False, True):\n"
        "    rows = replay(Case(trace, 0.3, prefetch=prefetch), POLICIES)['policies']\n"
        "    print([row['hits'] for row in rows.values()])\n"
    )
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fast = code.replace("sys.modules['numba'] = None", "pass")
    compiled = subprocess.run(
        [sys.executable, "-c", fast], capture_output=True, text=True, check=True
    )
    assert plain.stdout == compiled.stdout

"""Run by every Python that `scalesim run` starts, before the user's program.

Python imports one `sitecustomize`; one that this hides is imported after it.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

_HERE = str(Path(__file__).parent)

try:
    from scalesim.integrations.registry import install_all

    install_all()
except Exception as error:
    print(
        f"scalesim: this Python ({sys.executable}) runs without it ({error}): its agents are not "
        "distinguished. Install scalesim-serve into its environment",
        file=sys.stderr,
    )

_path, _ours = sys.path[:], sys.modules.pop("sitecustomize", None)
sys.path[:] = [entry for entry in _path if entry != _HERE]
try:
    if importlib.util.find_spec("sitecustomize") is not None:
        importlib.import_module("sitecustomize")
finally:
    sys.path[:] = _path
    if _ours is not None:
        sys.modules.setdefault("sitecustomize", _ours)

"""The engine: stock SGLang, its CPU shims, and our plugin inside its scheduler.

`sglang/` is the adapter layer: what calls SGLang's own classes inside the scheduler. Beside it,
`emulation/` and `cpu.py` stand in for hardware, `boot.py`, `launch.py` and `engine_host.py` start
and end it, and `openai_endpoints.py`, `adapter_loader.py`, `grammar.py`, `modes.py` and `probe.py`
use what SGLang offers outside of it.
"""

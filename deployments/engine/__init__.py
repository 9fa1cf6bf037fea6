"""The engine: stock SGLang, its CPU shims, and our plugin inside its scheduler.

`sglang/` is the wall: the only modules that touch SGLang's own classes inside the scheduler.
"""

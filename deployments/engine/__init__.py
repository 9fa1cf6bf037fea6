"""The engine: stock SGLang, its CPU shims, and our plugin inside its scheduler.

`internals.py` is the wall: the only module that touches SGLang's own classes.
"""

"""The wall: the only modules that touch the classes of SGLang 0.5.23, one concern a module."""

"""The adapter layer over the classes of SGLang's scheduler, one concern a module."""

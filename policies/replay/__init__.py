"""Trace replay: the same requests under any eviction order, with and without prefetch."""

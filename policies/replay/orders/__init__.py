"""Eviction orders as compiled loops: requests in, hits out."""

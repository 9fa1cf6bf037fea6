"""On one GPU: token races, calibration, arms against SGLang and HiCache, and where it stops paying.

Engine, plugin, controller and planner are the product's own, in one process without Ray.
"""

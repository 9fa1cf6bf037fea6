"""Distances, eviction orders, the planner, placement and trace replay: pure numpy, no I/O."""

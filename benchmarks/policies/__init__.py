"""Distances, eviction orders, placement and the control plane."""

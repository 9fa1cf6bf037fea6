"""Estimators: what a simulation knows about itself, as invocation distances.

Users find them in `scalesim.distances`. All follow `estimator_base.Estimator`.
"""

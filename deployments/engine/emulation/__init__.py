"""A device that takes time, on a CPU: streams, events and copies as on a GPU.

Scheduler, cache, HiCache, LoRA manager and our plugin are the real ones. Copies and forward passes
occupy streams for as long as `times` says; what a copy brings arrives when its event is done.
"""

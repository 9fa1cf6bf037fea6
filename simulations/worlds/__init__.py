"""Reference Worlds, one for each class of simulation; `scalesim sim run town` runs one."""

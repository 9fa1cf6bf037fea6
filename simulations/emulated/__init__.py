"""What distances are worth on a GPU whose times are emulated: the real scheduler, no GPU."""

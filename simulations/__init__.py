"""Reference simulations: real workloads that drive the stack and compare its arms."""

"""Ray Serve side: engine, replica, router, ingress and the stack that wires them."""

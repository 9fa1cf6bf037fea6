"""What tests share: fakes, drivers of real parts, and checks."""

"""What survives the controller: a copy of its table behind the Redis protocol."""

"""What runs beside the controller in its process: background work, its metrics, its waiters."""

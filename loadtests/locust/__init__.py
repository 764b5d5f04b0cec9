"""Load on a running stack, as arrivals that do not wait for answers: see `locustfile`."""

"""The serving core: the life of a request from the route to the device and back. Read `engine` first."""

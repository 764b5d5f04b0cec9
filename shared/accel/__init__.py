"""The only shared place that knows torch: the device, its number types, and its errors."""

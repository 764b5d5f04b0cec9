"""Open-vocabulary detection: boxes of whatever a label, or an example picture, names."""

"""Black-box benchmarks and load over HTTP. Imports nothing of ours."""

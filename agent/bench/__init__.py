"""The benchmarks behind ``firstword bench``: each prints ratios and percentiles of one run."""

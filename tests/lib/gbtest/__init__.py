"""What the end-to-end tests, the demo and the benchmarks share: see tests/lib/README.md."""

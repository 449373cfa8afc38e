"""Scripts for development: benchmarks, training of the example weights. Not installed."""

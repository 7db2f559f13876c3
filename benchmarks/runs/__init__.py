"""Parts of ``make bench-runs`` that make what they measure, on the local AWS."""

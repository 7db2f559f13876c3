"""GluonCV's SSD on the same records, in an environment of its own (it needs MXNet and old numpy names)."""

"""AWS Batch on this machine: the control plane, a scheduler, and jobs that are real processes."""

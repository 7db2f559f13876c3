"""Amazon SageMaker on this machine: jobs and endpoints whose containers are real processes, and models."""

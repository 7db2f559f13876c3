"""Amazon SageMaker on this machine: training jobs, models, endpoints; containers are real processes."""

"""Amazon SageMaker on this machine: training and transform jobs, models, endpoints; containers are real processes."""

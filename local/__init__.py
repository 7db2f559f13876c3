"""The AWS on this machine: MiniStack with our AWS Batch and SageMaker, whose containers are real processes.

`python -m local up` starts it, `down` stops it with everything it runs. Nothing leaves 127.0.0.1.

    commands, background, server    the command line, the server in the background, the server itself
    plugin                          puts the rest into MiniStack
    protocol, constraints           AWS's JSON protocols and request checks, from botocore's service models
    batch, sagemaker                the services: operations, states, schedulers
    images, processes, leash        image URIs → commands, and the processes they become
    roles, authorization            job roles' credentials, and what callers may do
    events, log_streams, metrics    EventBridge, CloudWatch Logs and CloudWatch as the services use them
    objects                         S3 as the jobs use it, with their roles
    persistence                     what outlives the server, and how the next one goes on with it
    cloudformation, mends           resource types MiniStack lacks, and what it does differently from AWS
"""

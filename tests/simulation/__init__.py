"""Nestbox in a simulated AWS: the real functions, in virtual time, under every fault that a seed throws.

Everything a schedule does follows from its seed. Nothing here knows what a step does: functions, queues,
rules and permissions are read from template.yaml, the functions' own handlers run, and AWS is played one
botocore call at a time.

    timeline    virtual time; invocations run in it as greenlets, interleaved at their calls to AWS
    chance      what goes wrong: every incident is drawn from the seed by its name, so one can be left out
    wiring      what template.yaml says
    services/   DynamoDB, S3, SQS, EventBridge, Batch, SageMaker, CloudWatch Logs
    calls       botocore's calls led into the services, with faults, permissions and botocore's own checks
    functions   Lambda: handlers, event source mappings, timeouts, crashes, clocks
    people      who uploads and operates
    world       all of it
    invariants  what must hold in the end
    story       the smallest set of incidents that still breaks an invariant, told for a person
"""

"""A Batch container for tests: the first argument says what to do."""

import json
import os
import signal
import sys
import time

what, *arguments = sys.argv[1:]
if what == "echo":
    print(*arguments, flush=True)
elif what == "environment":
    print(json.dumps({name: value for name, value in os.environ.items() if "SECRET" not in name}))
elif what == "exit":
    sys.exit(int(arguments[0]))
elif what == "fail-once":
    sys.exit(0 if int(os.environ["AWS_BATCH_JOB_ATTEMPT"]) > 1 else 17)
elif what == "killed-once":
    if os.environ["AWS_BATCH_JOB_ARRAY_INDEX"] == arguments[0] and os.environ["AWS_BATCH_JOB_ATTEMPT"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
elif what == "fail-at":
    sys.exit(os.environ["AWS_BATCH_JOB_ARRAY_INDEX"] == arguments[0])
elif what == "sleep":

    def leave(*_: object) -> None:
        print("got SIGTERM", flush=True)
        sys.exit(143)

    signal.signal(signal.SIGTERM, leave)
    print("sleeping", flush=True)
    time.sleep(120)
elif what == "list":
    import boto3

    print(*[bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]])
elif what == "whoami":
    import boto3

    print(boto3.client("sts").get_caller_identity()["Arn"])

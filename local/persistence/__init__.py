"""What the AWS on this machine keeps when its process ends, however it ends.

    store       the file: rows of (kind, key, value), written in transactions
    keeper      saves what a request has changed before it is answered, the rest twice a second; restores
    services    MiniStack's services whose state is small: a row for each part
    tables, queues, logs, objects    those whose state grows: a row for each item, message, piece of a log
    outbox      events that are on their way
    leftovers   processes of a server that was killed

Our own Batch and SageMaker write their rows themselves.
"""

"""AWS's services, as far as Nestbox calls them: a method for each operation, named as in boto3.

A method takes the request and returns the response of botocore's model, or raises RefusedError. What an
operation does at some later time it puts on the timeline. A parameter that is not simulated is refused, never
ignored.
"""

"""Thin gateways to AWS: one class per service a step talks to, its client passed in.

They translate answers to the rules' types and "it already exists, and it is ours" to success; they decide
nothing. Errors that may pass stay botocore's, so that the queue delivers the message again.
"""

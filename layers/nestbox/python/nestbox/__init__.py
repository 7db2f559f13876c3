"""The domain of Nestbox: what the functions, the jobs and the CLI have in common.

Imports point one way: handlers (``functions/``) use ``steps``, steps use ``rows`` and ``gateways``, these use
``rules``; names, states, tables, events and settings are the words that all of them speak.
"""

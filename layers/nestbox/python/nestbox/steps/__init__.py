"""One module per step: it observes, lets a pure rule decide, acts, and writes one conditional transition.

A step may look at any run at any time, as often as it likes: where there is nothing to do it says so.
"""

"""How good detections are: the one place where average precision is worked out. Needs numpy and nothing else.

The detector scores its epochs with it, the data preparation image judges candidates with it. Boxes of many
pictures come as flat arrays (`evaluation.boxes`), so that every step is a few array operations.
"""

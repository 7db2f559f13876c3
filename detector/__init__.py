"""Object detector: trains and serves single-shot detectors as SageMaker's built-in algorithm does.

`python -m detector train --root DIR` and `python -m detector serve --root DIR --port N` are the two commands
of the container; DIR stands for `/opt/ml`. `python -m detector evaluate --model M --data D` scores a model.
"""

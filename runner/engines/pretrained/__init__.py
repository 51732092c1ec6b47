"""Hugging Face's transformers behind the port.

The parts that decide (row, text, batcher) know nothing of torch; forward and loading do.
"""

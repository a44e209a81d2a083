"""What a small object costs: beside other tools, and per item.

One script per question.
"""

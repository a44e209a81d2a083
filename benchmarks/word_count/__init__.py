"""word-count beside what else counts words.

One script per question.
"""

"""One script per question: each measures ways side by side and prints a table of ratios."""

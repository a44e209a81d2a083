"""The operator's command line, `millrace`: a file per verb, and what the verbs share."""

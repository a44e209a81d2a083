"""Millrace's jobs, `python -m batch_jobs plan | migrate | merge | migrate-and-merge`: what runs in the container."""

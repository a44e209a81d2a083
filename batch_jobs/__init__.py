"""Millrace's three jobs, `python -m batch_jobs plan | migrate | merge`: what runs in the container."""

"""The workload `images`: a thumbnail, a filtered picture and the metadata of every picture.

Needs Pillow, which only images with `EXTRAS=images` have.
"""

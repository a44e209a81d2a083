"""The version of the whole project: of its distribution, its image and its run files."""

VERSION = "0.2.0"

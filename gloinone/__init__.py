"""gloinone: finds, names, outlines and counts every glomerulus in kidney whole-slide images."""

__version__ = "0.1.0"

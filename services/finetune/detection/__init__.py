"""Teach the detectors: SSD, Faster R-CNN and Mask R-CNN."""

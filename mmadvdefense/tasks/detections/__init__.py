"""Boxes of a whole batch as tables: candidates before non-maximum suppression, detections, ground truth."""

"""Purifiers that fit something to the image they are given, at test time."""

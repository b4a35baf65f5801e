"""Wrappers for the attacks of other libraries."""

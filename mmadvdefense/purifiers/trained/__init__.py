"""Purifiers with a generator that is trained beforehand."""

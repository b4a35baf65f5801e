"""Losses of a generator and its discriminator beyond the least-squares one."""

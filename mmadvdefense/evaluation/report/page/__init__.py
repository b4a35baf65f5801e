"""What only the page shows: results class by class, and which images an attack has changed."""

from .changed_images import ChangedImages, changed_images
from .per_class import class_tables

__all__ = ['ChangedImages', 'changed_images', 'class_tables']

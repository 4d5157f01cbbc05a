"""Pictures: results that are shown as images, and the checks that an image is safe and quick to draw."""

from fact_magics.pictures.image import Image, described, image
from fact_magics.pictures.value import Picture, may_hold_pictures, summarised, with_pictures

__all__ = ["Image", "Picture", "described", "image", "may_hold_pictures", "summarised", "with_pictures"]

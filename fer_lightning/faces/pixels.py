"""Pixels of an image file as people see them: turned upright, 8 bits per channel, opaque."""

from PIL import ExifTags, Image

# EXIF's orientations. ImageOps.exif_transpose would also rewrite the other tags, and fails if one is damaged.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its EXIF orientation says."""
    turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits per channel: values of 16 bits, which Pillow would clip, lose their lower 8 bits."""
    return image.point(lambda value: value / 256).convert("L") if image.mode.startswith("I") else image


def opaque(image: Image.Image, background: str = "white") -> Image.Image:
    """Return an opaque image: transparent pixels show the background."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert("RGB")


def plain(image: Image.Image, background: str = "white") -> Image.Image:
    """Return the image upright, with 8 bits per channel and opaque."""
    return opaque(eight_bits(upright(image)), background)

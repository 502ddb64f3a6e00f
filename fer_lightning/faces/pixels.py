"""Pixels of an image file as people see them: turned upright, 8 bits per channel, opaque."""

from PIL import ExifTags, Image

from fer_lightning.errors import UserError

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


# Largest value of a mode, and the value that the brightest pixel must exceed. Otherwise the values have another range,
# such as 12 bits in a file of 16 bits or 0 to 1 as floats, and the image would be black.
INTEGERS, FLOATS = (65_535, 4095), (255, 1)


class UnclearRange(UserError):
    """Error for an image whose values do not fill the range of their type, so that its brightness is unknown."""


def upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its EXIF orientation says."""
    turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits per channel: values of 16 bits, which Pillow would clip, lose their lower 8 bits.

    Raise UnclearRange if integers of 16 or 32 bits or floats have another range than INTEGERS or FLOATS.
    """
    if image.mode == "F":
        _require_range(image, *FLOATS)
        return image.convert("L")
    if not image.mode.startswith("I"):
        return image
    integers = image if image.mode in ("I", "I;16") else image.convert("I")  # Pillow does not compute with I;16B
    _require_range(integers, *INTEGERS)
    return integers.point(lambda value: value / 256).convert("L")


def _require_range(image: Image.Image, white: int, dark: int) -> None:
    low, high = image.getextrema()
    if not (low >= 0 and dark < high <= white) and (low, high) != (0, 0):
        raise UnclearRange(
            f"the image has values from {low:g} to {high:g}, whose range is unclear; they must be from 0 to {white}, "
            f"and the largest must be above {dark}. Scale the values to 0 to 255 and save them with 8 bits."
        )


def opaque(image: Image.Image, background: str = "white") -> Image.Image:
    """Return an opaque image: transparent pixels show the background."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert("RGB")


def plain(image: Image.Image, background: str = "white") -> Image.Image:
    """Return the image upright, with 8 bits per channel and opaque."""
    return opaque(eight_bits(upright(image)), background)

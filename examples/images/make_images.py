"""Makes the pictures in this folder: `python examples/images/make_images.py [FOLDER]`. Same seed, same pictures."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

from PIL import ExifTags, Image, ImageCms, ImageDraw

SEED = 1786
"""A mill-race, dug that year, is what one of them shows."""


def hills(width: int, height: int, chance: random.Random) -> Image.Image:
    """A landscape: a sky, five ranges of hills and a sun."""
    sky = Image.linear_gradient("L").resize((width, height))
    picture = Image.merge("RGB", [sky.point(lambda v, top=top: top + v * (255 - top) // 340) for top in (92, 148, 206)])
    draw = ImageDraw.Draw(picture)
    x, y, r = chance.randint(width // 5, width // 2), height // 4, height // 11
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 244, 214))
    for near in range(5):
        waves = [(chance.uniform(0.5, 3), chance.uniform(0, 6.3), chance.uniform(0.01, 0.05)) for _ in range(4)]
        foot = height * (0.45 + 0.1 * near)
        ridge = [
            (x, foot + height * sum(a * math.sin(f * 6.3 * x / width + p) for f, p, a in waves) / 2)
            for x in range(0, width + 8, 8)
        ]
        shade = 1 - near / 6
        fill = (int(70 * shade + 16), int(112 * shade + 22), int(118 * shade + 18))
        draw.polygon([(0, height), *ridge, (width + 8, height)], fill=fill)
    return picture


def wheel(side: int) -> Image.Image:
    """A mill wheel on a transparent ground."""
    picture = Image.new("RGBA", (side * 2, side * 2))
    draw = ImageDraw.Draw(picture)
    middle, brown = side, (122, 78, 44, 255)
    for spoke in range(12):
        angle = spoke * math.pi / 6
        end = (middle + 0.9 * side * math.cos(angle), middle + 0.9 * side * math.sin(angle))
        draw.line((middle, middle, *end), fill=brown, width=side // 18)
    for share in (0.92, 0.62):
        box = (middle - share * side, middle - share * side, middle + share * side, middle + share * side)
        draw.ellipse(box, outline=brown, width=side // 12)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def photograph_exif() -> Image.Exif:
    """What a camera writes: it was held upright, and it knew where it was."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Millrace"
    exif[ExifTags.Base.Model] = "Pinhole 4"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.ExposureTime: 1 / 125,
            ExifTags.Base.FNumber: 2.8,
            ExifTags.Base.DateTimeOriginal: "2026:05:01 09:30:00",
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N",
            ExifTags.GPS.GPSLatitude: (53.0, 28.0, 0.0),
            ExifTags.GPS.GPSLongitudeRef: "W",
            ExifTags.GPS.GPSLongitude: (1.0, 29.0, 0.0),
        }
    )
    return exif


def main(folder: Path) -> None:
    """Write the pictures, and a text that says it is one of them."""
    chance = random.Random(SEED)  # noqa: S311 - the same pictures each time are the point
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lying = hills(480, 640, chance).transpose(Image.Transpose.ROTATE_90)
    lying.save(folder / "held-upright.jpg", quality=80, exif=photograph_exif(), icc_profile=srgb)
    hills(800, 500, chance).save(folder / "hills.jpg", quality=80, progressive=True)
    wheel(320).save(folder / "wheel.png", optimize=True)
    hills(480, 320, chance).save(folder / "valley.webp", quality=75)
    frames = [wheel(96).rotate(turn) for turn in (0, 10, 20)]
    frames[0].save(folder / "turning.gif", save_all=True, append_images=frames[1:], duration=120, loop=0, disposal=2)
    hills(240, 160, chance).convert("L").save(folder / "plate.tiff", compression="tiff_lzw")
    (folder / "not-a-picture.jpg").write_text("This is text. The name says otherwise.\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

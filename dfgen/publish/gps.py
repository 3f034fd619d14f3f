"""Whether a picture says where it was taken."""

from __future__ import annotations

import io

# Where EXIF begins in JPEG, PNG, WebP and TIFF, and the spelling of old PNG writers.
_EXIF_SIGNS = (b"Exif", b"eXIf", b"EXIF", b"Raw profile type")
_TIFF_SIGNS = (b"II*\0", b"MM\0*")
_XMP_GPS = b"GPSLatitude"
_GPS_IFD = 0x8825
_LATITUDE, _LONGITUDE = 2, 4


def has_gps(data: bytes) -> bool:
    """Look for a position in the EXIF or XMP data of an encoded picture.

    Most pictures have neither and are answered from their bytes alone. EXIF that cannot be read
    counts as having one: it is published as it is, and another reader may read it.
    """
    if _XMP_GPS in data:
        return True
    if not data.startswith(_TIFF_SIGNS) and not any(sign in data for sign in _EXIF_SIGNS):
        return False
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            position = picture.getexif().get_ifd(_GPS_IFD)
    except Exception:  # Pillow raises anything on damaged EXIF data
        return True
    return _LATITUDE in position or _LONGITUDE in position

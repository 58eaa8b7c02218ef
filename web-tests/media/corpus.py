"""Pictures with metadata, hostile files, and the proof that cleaned ones show the same.

  corpus.py make FOLDER            writes the corpus
  corpus.py compare BEFORE AFTER   decodes both sides; prints one JSON line per file
"""

import io
import json
import pathlib
import random
import re
import struct
import sys
import warnings
import wave
import zipfile
import zlib
from xml.etree import ElementTree

import pillow_heif
import kinds
from PIL import Image, ImageCms, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

pillow_heif.register_heif_opener()
# The hostile ones are decoded as well.
ImageFile.LOAD_TRUNCATED_IMAGES = True
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 1 << 30
warnings.simplefilter("ignore")

CANARY = "canary4711"
GPS = {1: "N", 2: (51.0, 30.0, 0.25), 3: "W", 4: (0.0, 7.0, 30.5), 29: CANARY + "gpsdate"}
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    f'exif:GPSLatitude="51,30.0N" dc:creator="{CANARY}xmp"/></rdf:RDF></x:xmpmeta>'
).encode()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(mode="RGB", size=(48, 32), seed=1):
    noise = random.Random(seed)
    image = Image.new("RGB", size)
    image.putdata([
        (x * 5 % 256, y * 7 % 256, noise.randrange(256)) for y in range(size[1]) for x in range(size[0])
    ])
    return image.convert(mode) if mode != "RGBA" else with_alpha(image)


def with_alpha(image):
    image = image.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def exif(orientation=6):
    block = Image.Exif()
    block[0x010E] = CANARY + "description"
    block[0x010F] = CANARY + "make"
    block[0x0110] = CANARY + "model"
    block[0x0112] = orientation
    block[0x0131] = CANARY + "software"
    block[0x0132] = "2026:01:02 03:04:05"
    block[0x013B] = CANARY + "artist"
    block[0x8298] = CANARY + "copyright"
    inner = block.get_ifd(0x8769)
    inner[0xA431] = CANARY + "serial"
    inner[0xA430] = CANARY + "owner"
    inner[0x9003] = "2026:01:02 03:04:05"
    inner[0x927C] = (CANARY + "makernote").encode() * 20
    block.get_ifd(0x8825).update(GPS)
    return block


def saved(image, form, **options):
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def segment(marker, payload):
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def jpeg(image, **options):
    data = saved(image, "JPEG", quality=80, **options)
    # Whole, with a small number: exiftool makes a list as long as the number says.
    jumbf = struct.pack(">I4s", 8 + len(CANARY), b"jumb") + CANARY.encode()
    extra = (
        segment(0xE0, b"JFXX\0\x10" + saved(picture(size=(8, 8)), "JPEG"))
        + segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\x20" + CANARY.encode() + b"iptc" * 5)
        + segment(0xEB, b"JP" + struct.pack(">HI", 1, 1) + jumbf)
        + segment(0xFE, CANARY.encode() + b"comment")
        + b"\xff\xff" * 3
    )
    # Behind the JFIF header where there is one.
    at = 2
    if data[2:4] == b"\xff\xe0":
        at = 4 + struct.unpack(">H", data[4:6])[0]
    return data[:at] + extra + data[at:]


def chunk(name, payload):
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png(image, **options):
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", CANARY + "text")
    info.add_text("Raw profile type exif", CANARY + "raw", zip=True)
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    data = saved(image, "PNG", pnginfo=info, **options)
    extra = chunk(b"tIME", bytes([7, 234, 1, 2, 3, 4, 5])) + chunk(b"caNv", CANARY.encode())
    return data[:33] + extra + data[33:]


def riff_with(data, name, payload):
    padded = payload + b"\0" * (len(payload) % 2)
    body = data[12:] + name + struct.pack("<I", len(payload)) + padded
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def frames(mode="RGB"):
    return [picture(mode, seed=seed) for seed in (2, 3, 4)]


def heic(image, **options):
    return saved(image, "HEIF", quality=60, **options)


def tiff(image, **options):
    options.setdefault("exif", exif())
    return saved(image, "TIFF", icc_profile=ICC, **options)


def iptc_tags():
    return {
        700: XMP,
        33723: (CANARY + "iptc").encode(),
        34377: (CANARY + "photoshop").encode(),
        269: CANARY + "document",
        316: CANARY + "host",
        65000: CANARY + "private",
    }


def big_endian_tiff(hidden):
    """Made by hand, with or without data nobody refers to."""
    pixels = bytes(range(48)) * 2
    entries = [
        (254, 4, 1, 0), (256, 4, 1, 8), (257, 4, 1, 4), (258, 3, 3, None), (259, 3, 1, 1),
        (262, 3, 1, 2), (271, 2, 20, None), (273, 4, 1, None), (274, 3, 1, 3), (277, 3, 1, 3),
        (278, 4, 1, 4), (279, 4, 1, 96),
    ]
    head = 8 + 2 + 12 * len(entries) + 4
    bits_at, make_at, hidden_at, pixels_at = head, head + 6, head + 26, head + 60
    values = {258: bits_at, 271: make_at, 273: pixels_at}
    out = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", len(entries))
    for tag, form, count, value in entries:
        value = values.get(tag, value)
        packed = struct.pack(">HH", value, 0) if form == 3 and count == 1 else struct.pack(">I", value)
        out += struct.pack(">HHI", tag, form, count) + packed
    out += struct.pack(">I", 0) + struct.pack(">HHH", 8, 8, 8)
    out += (CANARY + "make").encode().ljust(20, b"\0") + (CANARY + "hidden" if hidden else "").encode().ljust(34, b"\0")
    return out + pixels


def good():
    files = {}
    rgb = picture()
    full = {"exif": exif(), "icc_profile": ICC, "xmp": XMP, "comment": (CANARY + "com").encode()}
    files["baseline.jpg"] = jpeg(rgb, **full)
    files["progressive.jpg"] = jpeg(rgb, progressive=True, **full)
    files["upright.jpg"] = jpeg(rgb, exif=exif(1))
    files["restarts.jpg"] = jpeg(rgb, restart_marker_blocks=1, **full)
    files["grey.jpg"] = jpeg(picture("L"), **full)
    files["cmyk.jpg"] = jpeg(picture("CMYK"), **full)
    files["trailer.jpg"] = jpeg(rgb, **full) + zip_of({"a.txt": CANARY + "zip"})
    files["several.jpg"] = saved(rgb, "MPO", save_all=True, append_images=[picture(seed=9)], exif=exif())
    files["second-exif.jpg"] = files["baseline.jpg"][:2] + segment(
        0xE1, b"Exif\0\0" + exif(8).tobytes()[6:]
    ) + files["baseline.jpg"][2:]
    for mode in ("RGB", "RGBA", "P", "L", "I;16", "1"):
        image = Image.new("I;16", (48, 32), 40_000) if mode == "I;16" else picture(mode)
        files[f"{mode.replace(';', '').lower()}.png"] = png(image, exif=exif(), icc_profile=ICC)
    files["animated.png"] = png(
        rgb, save_all=True, append_images=frames(), duration=50, exif=exif(8), icc_profile=ICC
    )
    files["trailer.png"] = png(rgb) + (CANARY + "behind").encode()
    webp = {"exif": exif(), "icc_profile": ICC, "xmp": XMP}
    files["lossy.webp"] = saved(rgb, "WEBP", **webp)
    files["lossless.webp"] = saved(picture("RGBA"), "WEBP", lossless=True, **webp)
    files["animated.webp"] = saved(rgb, "WEBP", save_all=True, append_images=frames(), **webp)
    files["unknown.webp"] = riff_with(saved(rgb, "WEBP"), b"CNRY", CANARY.encode())
    files["upright.webp"] = saved(rgb, "WEBP", exif=exif(1))
    files["picture.avif"] = saved(rgb, "AVIF", quality=60, **webp)
    files["alpha.avif"] = saved(picture("RGBA"), "AVIF", quality=60, **webp)
    files["animated.avif"] = saved(rgb, "AVIF", save_all=True, append_images=frames(), **webp)
    large = picture(size=(128, 96))
    files["picture.heic"] = heic(large, exif=exif().tobytes(), xmp=XMP, icc_profile=ICC)
    files["thumbnail.heic"] = heic(large, exif=exif(1).tobytes(), thumbnails=[64])
    files["several.heic"] = heic(
        large, save_all=True, append_images=[picture(size=(128, 96), seed=8)], exif=exif().tobytes()
    )
    files["motion.heic"] = files["picture.heic"] + struct.pack(">I", 8 + 40) + b"mpvd" + (
        CANARY + "video"
    ).encode().ljust(40, b"\0")
    files["raw.tiff"] = tiff(rgb)
    for name, how in (("lzw", "tiff_lzw"), ("deflate", "tiff_adobe_deflate"), ("jpeg", "jpeg")):
        files[f"{name}.tiff"] = tiff(rgb, compression=how)
    tagged = exif()
    for tag, value in iptc_tags().items():
        tagged[tag] = value
    files["iptc.tiff"] = tiff(rgb, exif=tagged)
    files["pages.tiff"] = tiff(rgb, save_all=True, append_images=frames())
    files["fax.tiff"] = tiff(picture("1"), compression="group4")
    files["big-endian.tiff"] = big_endian_tiff(hidden=False)
    files["still.gif"] = saved(picture("P"), "GIF", comment=CANARY.encode())
    files["animated.gif"] = saved(
        picture("P"), "GIF", save_all=True, append_images=frames("P"), loop=0, comment=CANARY.encode()
    ) + CANARY.encode()
    return files


def zip_of(entries):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return target.getvalue()


def hostile(sound):
    """Each with the word that has to come out: cleaned, or the reason of a refusal."""
    jpg, png_, webp = sound["baseline.jpg"], sound["rgb.png"], sound["lossy.webp"]
    heic_, tiff_ = sound["picture.heic"], sound["raw.tiff"]
    bomb = zlib.compress(b"\0" * 30_000_000, 9)
    files = {
        "cut-in-exif.jpg": (jpg[:60], "truncated"),
        "cut-in-scan.jpg": (jpg[:-40], "cleaned"),
        "giant-segment.jpg": (b"\xff\xd8\xff\xe1\xff\xff" + b"Exif\0\0II*\0\xff\xff\xff\xff", "truncated"),
        "zero-length-segment.jpg": (b"\xff\xd8\xff\xe1\0\0" + jpg[2:], "malformed"),
        "reserved-marker.jpg": (b"\xff\xd8\xff\x02\0\4ab" + jpg[2:], "malformed"),
        "many-segments.jpg": (jpg[:2] + segment(0xFE, b"") * 60_000 + jpg[2:], "too-complex"),
        "page-and-picture.jpg": (jpg[:2] + segment(0xFE, b"<script>alert(1)</script>") + jpg[2:] + b"<html>", "cleaned"),
        "exif-loop.jpg": (jpg[:2] + segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\x08") + sound["upright.jpg"][2:], "cleaned"),
        "exif-giant-count.jpg": (jpg[:2] + segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\3\xff\xff\xff\xff\0\6\0\0" * 9) + sound["upright.jpg"][2:], "cleaned"),
        "bomb.png": (png_[:33] + chunk(b"zTXt", b"a\0\0" + bomb) + chunk(b"iTXt", b"a\0\1\0\0\0" + bomb) + png_[33:], "cleaned"),
        "giant-chunk.png": (png_[:33] + b"\xff\xff\xff\xffeXIf" + png_[33:], "malformed"),
        "long-chunk.png": (png_[:33] + b"\x7f\xff\xff\xf0tEXt" + png_[33:], "truncated"),
        "cut.png": (png_[:-20], "cleaned"),
        "unknown-critical.png": (png_[:33] + chunk(b"CgBI", b"abcd") + png_[33:], "unsupported"),
        "cut.webp": (webp[:-9], "truncated"),
        "giant-chunk.webp": (webp[:12] + b"EXIF\xff\xff\xff\xff" + webp[12:], "truncated"),
        "cut.heic": (heic_[:-30], "truncated"),
        "cut-index.heic": (heic_[:120], "truncated"),
        "giant-box.heic": (heic_.replace(heic_[heic_.index(b"mdat") - 4 :][:8], b"\xff\xff\xff\xf0mdat"), "truncated"),
        "loop.tiff": (b"II*\0\x08\0\0\0" + b"\0\0\x08\0\0\0", "malformed"),
        "cut.tiff": (tiff_[: len(tiff_) // 2], "truncated"),
        "giant-count.tiff": (tiff_.replace(struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 4, 0x3FFFFFFF)).replace(struct.pack("<HHI", 273, 3, 1), struct.pack("<HHI", 273, 3, 0x7FFFFFFF)), "truncated"),
        "unreferenced.tiff": (big_endian_tiff(hidden=True), "unsupported"),
        "big.tiff": (b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + bytes(32), "unsupported"),
        "bomb.docx": (zip_of({"[Content_Types].xml": "", "docProps/core.xml": "\0" * 30_000_000}), "not-removable"),
        "cut.avif": (sound["picture.avif"][:-20], "truncated"),
        "picture-and-page.gif": (sound["still.gif"] + b"<script>alert(1)</script>", "cleaned"),
        "picture-and-archive.png": (png_ + zip_of({"a.txt": CANARY}), "cleaned"),
        "picture-and-document.jpg": (jpg[:2] + segment(0xFE, b"%PDF-1.4 " + CANARY.encode()) + jpg[2:], "cleaned"),
        "bomb.webp": (riff_with(webp, b"XMP ", b"\0" * 30_000_000), "cleaned"),
        "nothing.jpg": (b"\xff\xd8\xff", "truncated"),
        "cut.gif": (sound["still.gif"][:-10], "cleaned"),
        "blocks.gif": (sound["still.gif"][:13 + 768] + b"\x21\xfe" + b"\x01a" * 5_100_000, "too-complex"),
    }
    return files


def documents():
    core = f"<cp:coreProperties><dc:creator>{CANARY}</dc:creator></cp:coreProperties>"
    empty = "<cp:coreProperties><dc:creator></dc:creator><cp:lastModifiedBy/></cp:coreProperties>"
    return {
        "author.docx": (zip_of({"[Content_Types].xml": "<x/>", "docProps/core.xml": core}), True),
        "nobody.docx": (zip_of({"[Content_Types].xml": "<x/>", "docProps/core.xml": empty}), False),
        "author.odt": (zip_of({"mimetype": "x", "meta.xml": f"<m:initial-creator>{CANARY}</m:initial-creator>"}), True),
        "archive.zip": (zip_of({"a.txt": "plain"}), False),
        "author.pdf": (b"%PDF-1.4\n1 0 obj\n<</Author (" + CANARY.encode() + b")>>\nendobj\ntrailer<</Info 1 0 R>>\n%%EOF", True),
        "nobody.pdf": (b"%PDF-1.4\n1 0 obj\n<</Type /Catalog>>\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF", False),
        "cut.pdf": (b"%PDF-1.4\n1 0 obj\n<</Author (" + CANARY.encode(), "not-removable"),
        "bomb.pdf": (b"%PDF-1.5\n1 0 obj\n<</Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length 9>>stream\n" + zlib.compress(b"\0" * 30_000_000, 9) + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF", "not-removable"),
        "archive-and-document.pdf": (b"%PDF-1.4\n1 0 obj\n<</Type /Catalog>>\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF" + zip_of({"[Content_Types].xml": "<x/>", "docProps/core.xml": core}), "not-removable"),
        "cut.docx": (zip_of({"[Content_Types].xml": "<x/>", "docProps/core.xml": core})[:-30], "malformed"),
        "many.docx": (zip_of({"[Content_Types].xml": "<x/>", "docProps/core.xml": core})[:-22] + b"PK\5\6\0\0\0\0" + b"\xff" * 12 + b"\0\0", "malformed"),
        "place.mp4": (struct.pack(">I", 16) + b"ftypmp42\0\0\0\0" + struct.pack(">I", 36) + b"moov" + struct.pack(">I", 28) + b"udta" + struct.pack(">I", 20) + b"\xa9xyz+51.50-0.12/", True),
    }


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    listing = {}
    sound = good()
    for name, data in sound.items():
        (folder / name).write_bytes(data)
        listing[name] = "cleaned"
    for name, (data, expected) in hostile(sound).items():
        (folder / name).write_bytes(data)
        listing[name] = expected
    for name, (data, tells) in documents().items():
        (folder / name).write_bytes(data)
        listing[name] = tells if isinstance(tells, str) else "not-removable" if tells else "unchanged"
    tells = {}
    for name, (data, expected, told) in kinds.every(sound["baseline.jpg"]).items():
        assert name not in listing, name
        (folder / name).write_bytes(data)
        listing[name] = expected
        tells[name] = sorted(told)
    (folder / "corpus.json").write_text(json.dumps({"canary": CANARY, "files": listing, "tells": tells}))


def seen(path):
    """What a viewer shows: every frame's pixels as stored and as turned, profile, orientation."""
    with Image.open(path) as image:
        orientation = image.getexif().get(0x0112, 1)
        # Of the first picture; a second one may have its own.
        profile = image.info.get("icc_profile")
        shown = []
        # A HEIF file opens at the picture that is shown, which need not be its first.
        first = image.tell()
        for number in sorted(range(getattr(image, "n_frames", 1)), key=lambda number: number != first):
            image.seek(number)
            image.load()
            turned = ImageOps.exif_transpose(image)
            shown.append((image.mode, image.size, image.tobytes(), turned.size, image.info.get("duration")))
        metadata = {k: v for k, v in image.info.items() if k in ("xmp", "comment", "photoshop", "XML:com.adobe.xmp", "Author")}
        tags = [tag for tag in image.getexif() if tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x013B, 0x8298, 0x8825)]
        return shown, profile, orientation, metadata, tags


SOUND = re.compile(rb"\xff[\xfb\xf8].{400}|\xff[\xf8]\x69.{60}|(?:\xf8\xff\xfe){4}", re.S)
DRAWN = re.compile(rb"<(?:\w+:)?(?:rect|circle|image|text|path)\b[^<>]*>")


def undecoded(before, after):
    """For formats without a decoder here: the parts that are played or drawn, one by one."""
    old, new = before.read_bytes(), after.read_bytes()
    if after.suffix == ".svg":
        same = DRAWN.findall(old) == DRAWN.findall(new) and ElementTree.fromstring(new) is not None
    elif after.suffix == ".wav":
        same = [wave.open(io.BytesIO(data)).readframes(1 << 20) for data in (old, new)]
        same = same[0] == same[1] and len(same[0]) > 0
    elif after.suffix == ".jxl":
        same = [b"".join(content for name, content in boxes(data) if name in (b"jxlc", b"jxlp")) for data in (old, new)]
        same = same[0] == same[1] and len(same[0]) > 0
    else:
        same = SOUND.findall(old) == SOUND.findall(new) and len(SOUND.findall(new)) > 0
    if after.suffix == ".ogg":
        same = same and kinds.ogg_is_sound(new)
    return {"frames": 1, "pixels": same, "profile": True, "orientation": True, "left": []}


def boxes(data):
    at = 0
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += length


TEXTS = (b"desc", b"cprt", b"dmnd", b"dmdd", b"vued", b"meta", b"mmod", b"dscm", b"targ", b"calt", b"vcgt", b"ndin")


def colours(profile):
    """What a colour profile computes with, without its texts."""
    if not profile:
        return None
    count = struct.unpack(">I", profile[128:132])[0]
    tags = [struct.unpack(">4sII", profile[at : at + 12]) for at in range(132, 132 + 12 * count, 12)]
    kept = {name: profile[at : at + length] for name, at, length in tags if name not in TEXTS}
    return {b"head": profile[8:24] + profile[36:40] + profile[56:80], **kept}


def compare(before, after):
    for path in sorted(after.iterdir()):
        result = {"file": path.name}
        try:
            expected, found = seen(before / path.name), seen(path)
            result["frames"] = len(found[0])
            # A film or second picture behind the end goes, the first stays.
            result["pixels"] = expected[0][: len(found[0])] == found[0]
            result["profile"] = colours(expected[1]) == colours(found[1])
            result["orientation"] = expected[2] == found[2]
            result["left"] = sorted(map(str, [*(k for k, v in found[3].items() if v and v.strip(b"\0" if isinstance(v, bytes) else None)), *found[4]]))
        except UnidentifiedImageError:
            # No picture that Pillow reads: what plays or draws has to be there as it was.
            result.update(undecoded(before / path.name, path))
        except Exception as error:  # noqa: BLE001 - the caller decides
            result["error"] = repr(error)
        print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(pathlib.Path(sys.argv[2]))
    else:
        compare(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))

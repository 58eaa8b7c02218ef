"""Files of every kind that people send, made by hand where no library writes them.

Each comes with the word that has to come out and with what it has to be told to hold.
"""

import base64
import io
import struct
import wave
import zipfile
import zlib

from PIL import Image

CANARY = "canary4711"
WHO = CANARY.encode()


def box(name, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def full(name, *parts, version=0, flags=0):
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


# --- TIFF and the raws made of it -----------------------------------------------------------


def tiff(directories, order=">", magic=42, extra=b""):
    """Directories of (tag, form, values or bytes); a value may be ("at", name) of a block in `extra`."""
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 13: 4}
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "H", magic)
    starts, at = [], 8
    for entries in directories:
        starts.append(at)
        at += 2 + 12 * len(entries) + 4
    out, heap = b"", b""
    heap_at = at
    for number, entries in enumerate(directories):
        part = struct.pack(order + "H", len(entries))
        for tag, form, value in sorted(entries, key=lambda entry: entry[0]):
            if isinstance(value, int):
                value = [value]
            if isinstance(value, str):
                value = value.encode() + b"\0"
            if isinstance(value, tuple):
                value = [starts[value[1]] if value[0] == "directory" else heap_at + 1_000_000 + value[1]]
            data = value if isinstance(value, bytes) else b"".join(
                struct.pack(order + {1: "B", 3: "H", 4: "I", 13: "I"}[form], item) for item in value
            )
            count = len(data) // sizes[form]
            if len(data) > 4:
                part += struct.pack(order + "HHII", tag, form, count, heap_at + len(heap))
                heap += data + b"\0" * (len(data) % 2)
            else:
                part += struct.pack(order + "HHI", tag, form, count) + data.ljust(4, b"\0")
        chained = isinstance(entries, list)
        following = starts[number + 1] if chained and number + 1 < len(starts) and isinstance(directories[number + 1], list) else 0
        out += part + struct.pack(order + "I", following)
    return head + struct.pack(order + "I", 8) + out + heap + extra


def strip(width, height, at, length, **more):
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, at), (277, 3, 1), (278, 4, height), (279, 4, length)]
    return entries + [(int(tag[1:]), *value) for tag, value in more.items()]


def camera():
    return [(271, 2, CANARY + "make"), (272, 2, CANARY + "model")]


def with_pixels(build, length):
    """Pixels behind all else; `build` is given where they are."""
    probe = build(0)
    return build(len(probe)) + bytes(index * 7 % 251 + 1 for index in range(length))


def raws():
    shown = lambda at: strip(8, 8, at, 64)
    made = {
        # The first directory is a thumbnail, the raw stands in a further one: NEF, ARW, PEF, SRW, 3FR.
        "nikon.nef": with_pixels(lambda at: tiff([[(254, 4, 1), *shown(at), *camera(), (330, 4, ("directory", 1))], tuple(strip(16, 16, at + 64, 256, t262=(3, 32803)))]), 320),
        "adobe.dng": with_pixels(lambda at: tiff([[*shown(at), *camera(), (50706, 1, b"\1\4\0\0"), (50735, 2, CANARY + "serial")]], "<"), 64),
        "canon.cr2": with_pixels(lambda at: tiff([[*strip(8, 8, at, 64, t259=(3, 6)), *camera()], [(259, 3, 6), (273, 4, at), (279, 4, 64), (50752, 3, [1, 2, 3])]], "<"), 64),
        "pattern.tif": with_pixels(lambda at: tiff([[*strip(8, 8, at, 64, t262=(3, 32803)), *camera()]], "<"), 64),
        "packed.arw": with_pixels(lambda at: tiff([[*strip(8, 8, at, 64, t259=(3, 32767)), *camera()]], "<"), 64),
        "preview.srw": with_pixels(lambda at: tiff([[*shown(at), *camera(), (513, 4, at), (514, 4, 64)]], "<"), 64),
    }
    made["panasonic.rw2"] = b"IIU\0" + tiff([[*camera(), (34853, 4, ("directory", 1))], ((1, 2, b"N\0"),)], "<")[4:]
    made["olympus.orf"] = b"IIRO" + tiff([[*camera()]], "<")[4:]
    exif = b"Exif\0\0" + tiff([[*camera(), (34853, 4, ("directory", 1))], ((1, 2, b"N\0"), (2, 5, struct.pack(">6I", 51, 1, 30, 1, 0, 1)))])
    jpeg = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\xff\xd9"
    made["fuji.raf"] = b"FUJIFILMCCD-RAW 0201FF129502".ljust(84, b"\0") + struct.pack(">II", 148, len(jpeg)) + bytes(56) + jpeg
    made["canon.crw"] = b"II\x1a\0\0\0HEAPCCDR" + bytes(18) + WHO + bytes(200)
    made["minolta.mrw"] = b"\0MRM" + struct.pack(">I", 64) + b"\0PRD" + bytes(60) + WHO
    made["sigma.x3f"] = b"FOVb" + struct.pack("<I", 0x20003) + WHO + bytes(200)
    made["canon.cr3"] = box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", bytes(16), box(b"CMT1", tiff([[*camera()]], "<"))))
    return {name: (data, "not-removable", {"camera"} | ({"place"} if name in ("panasonic.rw2", "fuji.raf") else set())) for name, data in made.items()}


def odd_tiffs():
    """Layouts that are not understood whole: never rewritten."""
    shared = with_pixels(lambda at: tiff([[*strip(8, 8, at, 64), (271, 2, CANARY + "make")]], "<"), 64)
    at = shared.index(WHO)
    # The name lies among the pixels.
    overlapping = shared.replace(struct.pack("<I", at), struct.pack("<I", len(shared) - 40), 1)
    return {
        "overlap.tif": (overlapping, "unsupported", set()),
        "unreferenced.tif": (shared + WHO * 20, "unsupported", {"camera"}),
        "truncated-strip.tif": (shared[:-20], "truncated", set()),
        "plain.tif": (shared, "cleaned", {"camera"}),
    }


# --- pictures -------------------------------------------------------------------------------


def svg(inner="", root="", before=""):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{before}<svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
        'xmlns:sodipodi="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd" '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'width="64" height="48" {root}>{inner}<rect x="4" y="4" width="40" height="20" fill="#2f4ec4"/></svg>'
    ).encode()


def drawings(photo):
    data = base64.b64encode(photo).decode()
    plain = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(plain, "PNG")
    clear = base64.b64encode(plain.getvalue()).decode()
    editor = (
        f'<!-- made by {CANARY} -->'
        f'<sodipodi:namedview id="base" inkscape:window-width="1920" inkscape:document-units="{CANARY}"/>'
        f'<metadata id="m"><rdf:RDF><dc:creator>{CANARY}</dc:creator></rdf:RDF></metadata>'
        f'<g inkscape:label="{CANARY}" data-name="{CANARY}"><circle cx="9" cy="9" r="5"/></g>'
    )
    place = f'inkscape:export-filename="/home/{CANARY}/drawing.png" sodipodi:docname="{CANARY}.svg"'
    return {
        "inkscape.svg": (svg(editor, place), "cleaned", {"names", "path"}),
        "plain.svg": (svg(), "unchanged", set()),
        "prefix.svg": (
            f'<ns0:svg xmlns:ns0="http://www.w3.org/2000/svg" width="9" height="9"><!--{CANARY}--><ns0:rect width="9" height="9"/></ns0:svg>'.encode(),
            "cleaned",
            set(),
        ),
        "text.svg": (svg("<text x='3' y='9'>/home is a word</text><title>t</title>"), "unchanged", set()),
        "linked.svg": (svg(f'<image href="file:///home/{CANARY}/a.png"/>'), "not-removable", {"path"}),
        "photo.svg": (svg(f'<image xlink:href="data:image/jpeg;base64,{data}"/>'), "not-removable", {"place"}),
        "picture.svg": (svg(f'<image xlink:href="data:image/png;base64,{clear}"/><!--{CANARY}-->'), "cleaned", set()),
        "script.svg": (svg(f"<script>alert('{CANARY}')</script>"), "unsupported", set()),
        "entity.svg": (svg(before=f'<!DOCTYPE svg [<!ENTITY who "{CANARY}">]>'), "unsupported", set()),
        "unclosed.svg": (svg("<g>"), "malformed", set()),
    }


def jpeg_xl():
    stream = b"\xff\x0a" + bytes(index * 91 % 256 for index in range(300))
    sign = bytes.fromhex("0000000c4a584c200d0a870a") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    exif = tiff([[*camera(), (34853, 4, ("directory", 1))], ((1, 2, b"N\0"),)])
    metadata = box(b"Exif", bytes(4), exif) + box(b"xml ", f"<x:xmpmeta dc:creator='{CANARY}'/>".encode()) + box(b"jumb", WHO)
    return {
        "boxes.jxl": (sign + metadata + box(b"jxlc", stream) + box(b"brob", b"xml " + WHO) + box(b"jbrd", WHO), "cleaned", {"place", "camera", "names"}),
        "parts.jxl": (sign + box(b"jxll", b"\5") + box(b"jxlp", bytes(4), stream[:100]) + box(b"xml ", WHO) + box(b"jxlp", b"\x80\0\0\1", stream[100:]), "cleaned", {"text"}),
        "clear.jxl": (sign + box(b"jxlc", stream), "unchanged", set()),
        "empty.jxl": (sign + metadata, "malformed", set()),
    }


def other_pictures():
    def saved(form, **options):
        target = io.BytesIO()
        Image.new("RGB", (16, 16), "green").save(target, form, **options)
        return target.getvalue()

    psd = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 1, 1, 8, 3) + struct.pack(">I", 0)
    packet = f"<x:xmpmeta exif:GPSLatitude='1' dc:creator='{CANARY}'/>".encode()
    resource = b"8BIM\x04\x24\0\0" + struct.pack(">I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    psd += struct.pack(">I", len(resource)) + resource + bytes(4 + 2 + 3)
    jp2 = saved("JPEG2000")
    bitmap = saved("BMP")
    made = {
        "photoshop.psd": (psd, "not-removable", {"place", "names"}),
        "made.jp2": (jp2 + box(b"xml ", packet), "not-removable", {"names"}),
        "stream.j2k": (b"\xff\x4f\xff\x51" + bytes(40) + WHO, "not-removable", set()),
        "icon.ico": (saved("ICO", sizes=[(16, 16)]), "not-removable", set()),
        "apple.icns": (b"icns" + struct.pack(">I", 16) + WHO, "not-removable", set()),
        "old.pcx": (saved("PCX"), "not-removable", set()),
        "plain.ppm": (b"P6\n# " + WHO + b"\n1 1\n255\n\1\2\3", "not-removable", set()),
        "texture.dds": (b"DDS " + bytes(124) + WHO, "not-removable", set()),
        "light.exr": (b"v/1\x01\2\0\0\0owner\0string\0\x0a\0\0\0" + WHO + bytes(50), "not-removable", set()),
        "layers.xcf": (b"gimp xcf file\0" + bytes(50) + WHO, "not-removable", set()),
        "doctor.dcm": (bytes(128) + b"DICM" + WHO + bytes(60), "not-removable", set()),
        "plain.bmp": (bitmap, "unchanged", set()),
        "behind.bmp": (bitmap + WHO * 3, "not-removable", {"hidden"}),
    }
    return made


# --- sound ----------------------------------------------------------------------------------

FRAME = b"\xff\xfb\x90\xc4" + bytes(413)


def id3(*frames):
    body = b"".join(name + struct.pack(">I", len(value)) + b"\0\0" + value for name, value in frames)
    size = len(body)
    return b"ID3\3\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + body


def ogg_sum(page):
    total = 0
    for byte in page:
        total ^= byte << 24
        for _ in range(8):
            total = (total << 1 ^ (0x104C11DB7 if total >> 31 else 0)) & 0xFFFFFFFF
    return struct.pack("<I", total)


def ogg_page(sequence, flags, body, granule=0):
    table = [255] * (len(body) // 255) + [len(body) % 255]
    page = b"OggS\0" + bytes([flags]) + struct.pack("<qII", granule, 4711, sequence) + bytes(4) + bytes([len(table), *table]) + body
    return page[:22] + ogg_sum(page) + page[26:]


def ogg_is_sound(data):
    """Whether every page is whole and its checksum right."""
    at = 0
    while at < len(data):
        count = data[at + 26]
        end = at + 27 + count + sum(data[at + 27 : at + 27 + count])
        page = data[at:end]
        if not page.startswith(b"OggS") or page[22:26] != ogg_sum(page[:22] + bytes(4) + page[26:]):
            return False
        at = end
    return at == len(data)


def comments(*lines, vendor=CANARY + "vendor"):
    parts = [vendor, *lines]
    out = struct.pack("<I", len(parts[0])) + parts[0].encode() + struct.pack("<I", len(lines))
    return out + b"".join(struct.pack("<I", len(line)) + line.encode() for line in lines)


def opus(tags):
    head = b"OpusHead\1\1" + struct.pack("<HIhB", 0, 48000, 0, 0)
    return ogg_page(0, 2, head) + ogg_page(1, 0, b"OpusTags" + tags) + ogg_page(2, 4, b"\xf8\xff\xfe" * 4, 960)


def vorbis(tags):
    pages = [b"\x01vorbis" + bytes(23), b"\x03vorbis" + tags + b"\x01", b"\x05vorbis" + bytes(40)]
    head = b"".join(ogg_page(number, 2 if number == 0 else 0, page) for number, page in enumerate(pages))
    return head + ogg_page(3, 4, b"\xf8\xff\xfe" * 4, 960)


def sounds():
    tag = id3((b"TPE1", b"\0" + WHO), (b"TSSE", b"\0" + WHO), (b"TDRC", b"\0002026"))
    ape = struct.pack("<II", 10, 0) + b"Artist\0" + WHO
    ape += b"APETAGEX" + struct.pack("<IIII", 2000, len(ape) + 32, 1, 0) + bytes(8)
    old = (b"TAG" + WHO).ljust(128, b"\0")
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(range(200)) * 4)
    wav = target.getvalue()

    def chunked(*extra):
        body = wav[12:] + b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in extra)
        return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body

    stream = b"\0\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(6) + bytes.fromhex("0ac442f000000000") + bytes(16)
    comment = comments(f"ARTIST={CANARY}", "DATE=2026")
    def block(kind, data, last=False):
        return struct.pack(">I", (kind | (128 if last else 0)) << 24 | len(data)) + data

    frames = b"\xff\xf8\x69\x08" + bytes(range(60))
    flac = b"fLaC" + stream + block(4, comment) + block(2, b"appl" + WHO) + block(1, bytes(40), True) + frames
    m4a = box(b"ftyp", b"M4A \0\0\0\0M4A mp42") + box(b"moov", box(b"udta", full(b"meta", full(b"hdlr", bytes(4), b"mdirappl", bytes(9)), box(b"ilst", box(b"\xa9ART", box(b"data", struct.pack(">II", 1, 0), WHO)))))) + box(b"mdat", b"\xf8\xff\xfe" * 4)
    return {
        "tagged.mp3": (tag + FRAME * 4 + ape + old, "cleaned", {"names", "time", "text"}),
        "bare.mp3": (FRAME * 4, "unchanged", set()),
        "padded.mp3": (tag + bytes(300) + FRAME * 4, "cleaned", {"names"}),
        "nothing.mp3": (tag, "unsupported", {"names"}),
        "other.mp3": (tag + b"not sound at all" * 9, "unsupported", {"names"}),
        "listed.wav": (chunked((b"LIST", b"INFOIART" + struct.pack("<I", 10) + WHO), (b"bext", WHO * 4), (b"id3 ", tag)), "cleaned", {"names"}),
        "plain.wav": (wav, "unchanged", set()),
        "tagged.flac": (flac, "cleaned", {"names", "time"}),
        "bare.flac": (b"fLaC" + block(0, stream[4:], True) + frames, "unchanged", set()),
        "voice.ogg": (opus(comments("encoder=" + CANARY, "LOCATION=" + CANARY)), "cleaned", {"place", "text"}),
        "silent.ogg": (opus(comments(vendor="")), "unchanged", set()),
        "vorbis.ogg": (vorbis(comments("ARTIST=" + CANARY)), "cleaned", {"names"}),
        "tagged.m4a": (m4a, "cleaned", {"names"}),
        "named.aiff": (b"FORM" + struct.pack(">I", 40) + b"AIFFAUTH" + struct.pack(">I", 10) + WHO + bytes(18), "not-removable", {"names"}),
        "phone.amr": (b"#!AMR\n" + bytes(range(1, 200)), "unchanged", set()),
    }


# --- films ----------------------------------------------------------------------------------


def mvhd(time=0):
    return full(b"mvhd", struct.pack(">IIII", time, time, 1000, 1000), struct.pack(">I", 0x10000), bytes(72), struct.pack(">I", 2))


def element(number, *parts):
    body = b"".join(parts)
    return bytes.fromhex(number) + struct.pack(">Q", 1 << 56 | len(body)) + body


def films():
    ftyp = box(b"ftyp", b"isom\0\0\2\0isommp42")
    quick = box(b"ftyp", b"qt  \0\0\0\0qt  ")
    keys = full(b"keys", struct.pack(">I", 2), *(struct.pack(">I", 8 + len(key)) + b"mdta" + key for key in (b"com.apple.quicktime.location.ISO6709", b"com.apple.quicktime.model")))
    items = box(b"ilst", *(box(struct.pack(">I", index), box(b"data", struct.pack(">II", 1, 0), WHO)) for index in (1, 2)))
    apple = box(b"moov", mvhd(), box(b"meta", full(b"hdlr", bytes(4), b"mdta", bytes(13)), keys, items))
    sony = f'<NonRealTimeMeta><Device manufacturer="Sony" modelName="ILCE" serialNo="{CANARY}"/><Item name="LatitudeRef"/></NonRealTimeMeta>'.encode()
    track = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", full(b"stsd", struct.pack(">I", 1), box(b"gpmd", bytes(8)))))))
    segment = element("1549a966", element("7ba9", WHO), element("5741", b"Lavf"))
    tags = element("1254c367", element("7373", element("67c8", element("45a3", b"LOCATION"), element("4487", WHO))))
    ebml = element("1a45dfa3", element("4282", b"webm"))
    live = bytes.fromhex("1853806701ffffffffffffff") + segment + bytes.fromhex("1f43b67501ffffffffffffff") + element("a3", bytes(40)) + tags
    avi = lambda *extra: b"RIFF" + struct.pack("<I", 4 + sum(map(len, extra))) + b"AVI " + b"".join(extra)
    lst = lambda form, *parts: b"LIST" + struct.pack("<I", 4 + sum(map(len, parts))) + form + b"".join(parts)
    chunk = lambda name, data: name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    header = lst(b"hdrl", chunk(b"avih", bytes(56)), lst(b"strl", chunk(b"strh", bytes(56)), chunk(b"strf", bytes(40)), chunk(b"strd", b"AVIF" + WHO)))
    return {
        "old.mov": (box(b"moov", mvhd(), box(b"udta", box(b"\xa9xyz", b"\0\x12\x15\xc7+51.5-000.1/"))) + box(b"mdat", bytes(20)), "not-removable", {"place"}),
        "wide.mov": (box(b"wide") + box(b"mdat", bytes(20)) + box(b"moov", mvhd(0xE57A5680)), "not-removable", {"time"}),
        "phone.mov": (quick + apple, "not-removable", {"place", "camera"}),
        "phone.3gp": (box(b"ftyp", b"3gp4\0\0\0\0isom3gp4") + box(b"moov", mvhd(), box(b"udta", full(b"loci", b"\x15\xc7", WHO, bytes(30)), full(b"auth", b"\x15\xc7", WHO))), "not-removable", {"place", "names"}),
        "sony.mp4": (ftyp + box(b"moov", mvhd(), ) + full(b"meta", full(b"hdlr", bytes(4), b"nrtm", bytes(13)), box(b"xml ", sony)), "not-removable", {"camera", "serial", "place"}),
        "action.mp4": (ftyp + box(b"moov", mvhd(), track, box(b"udta", box(b"FIRM", b"HD9.01"), box(b"CAME", WHO), box(b"GPMF", WHO))), "not-removable", {"place", "camera", "serial"}),
        "packet.mp4": (ftyp + box(b"moov", mvhd()) + box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), f"<x:xmpmeta exif:GPSLatitude='1' dc:creator='{CANARY}'/>".encode()), "not-removable", {"place", "names"}),
        "silent.mp4": (ftyp + box(b"moov", mvhd()) + box(b"mdat", bytes(30)), "unchanged", set()),
        "behind.mp4": (ftyp + box(b"moov", mvhd()) + WHO * 3, "not-removable", {"hidden"}),
        "titled.mkv": (ebml + element("18538067", segment, tags), "not-removable", {"text", "camera", "place"}),
        "live.webm": (ebml + live, "not-removable", {"text", "camera"}),
        "bare.webm": (ebml + element("18538067", element("1549a966", element("2ad7b1", b"\x0f\x42\x40"))), "unchanged", set()),
        "camera.avi": (avi(header, lst(b"INFO", chunk(b"IART", WHO), chunk(b"ISFT", WHO)), chunk(b"IDIT", b"2026-01-01"), lst(b"movi", chunk(b"00dc", bytes(40)))), "not-removable", {"names", "camera", "time"}),
        "bare.avi": (avi(lst(b"hdrl", chunk(b"avih", bytes(56))), lst(b"movi", chunk(b"00dc", bytes(40))), chunk(b"idx1", bytes(16))), "unchanged", set()),
        "titled.wmv": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 100) + bytes(6) + bytes.fromhex("3326b2758e66cf11a6d900aa0062ce6c") + WHO, "not-removable", {"names"}),
        "packets.ts": ((b"\x47" + bytes(range(187))) * 6, "unchanged", set()),
    }


# --- documents ------------------------------------------------------------------------------


def archive(entries):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in entries.items():
            zipped.writestr(name, text)
    return target.getvalue()


def documents(photo):
    types = {"[Content_Types].xml": "<Types/>"}
    text = {"mimetype": "application/vnd.oasis.opendocument.text"}
    pdf = lambda *objects: b"%PDF-1.7\n" + b"\n".join(b"%d 0 obj\n%s\nendobj" % (number, item) for number, item in enumerate(objects, 1)) + b"\ntrailer<</Root 1 0 R>>\n%%EOF"
    packed = zlib.compress(b"5 0 <</Author(" + WHO + b")>>")
    stream = b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed)
    return {
        "comments.docx": (archive({**types, "word/document.xml": "<w:document/>", "word/comments.xml": f'<w:comment w:id="0" w:author="{CANARY}"/>'}), "not-removable", {"names"}),
        "tracked.docx": (archive({**types, "word/document.xml": f'<w:ins w:id="1" w:author="{CANARY}" w:date="2026"><w:r/></w:ins>'}), "not-removable", {"names"}),
        "people.docx": (archive({**types, "word/people.xml": f'<w15:person w15:author="{CANARY}"/>'}), "not-removable", {"names"}),
        "template.docx": (archive({**types, "word/_rels/settings.xml.rels": f'<Relationship Target="file:///C:\\Users\\{CANARY}\\a.dotx"/>'}), "not-removable", {"path"}),
        "photo.docx": (archive({**types, "word/media/image1.jpeg": photo}), "not-removable", {"place", "camera"}),
        "preview.pptx": (archive({**types, "docProps/thumbnail.jpeg": photo}), "not-removable", {"preview"}),
        "authors.pptx": (archive({**types, "ppt/commentAuthors.xml": f'<p:cmAuthor id="1" name="{CANARY}"/>'}), "not-removable", {"names"}),
        "folder.xlsx": (archive({**types, "xl/workbook.xml": f'<x15ac:absPath url="/Users/{CANARY}/"/>'}), "not-removable", {"path"}),
        "threaded.xlsx": (archive({**types, "xl/persons/person.xml": f'<person displayName="{CANARY}"/>'}), "not-removable", {"names"}),
        "nobody.xlsx": (archive({**types, "docProps/core.xml": "<dc:creator/>", "xl/workbook.xml": "<workbook/>"}), "unchanged", set()),
        "changes.odt": (archive({**text, "content.xml": f"<office:change-info><dc:creator>{CANARY}</dc:creator></office:change-info>"}), "not-removable", {"names"}),
        "note.ods": (archive({**text, "content.xml": f"<office:annotation><dc:creator>{CANARY}</dc:creator></office:annotation>"}), "not-removable", {"names"}),
        "printer.odt": (archive({**text, "settings.xml": f'<config:config-item config:name="PrinterName">{CANARY}</config:config-item>'}), "not-removable", {"other"}),
        "book.epub": (archive({"mimetype": "application/epub+zip", "a.opf": f"<dc:creator>{CANARY}</dc:creator>"}), "not-removable", {"names"}),
        "form.pdf": (pdf(b"<</Type/Catalog>>", b"<</FT/Tx/T(name of a field)/Subtype/Widget>>"), "unchanged", set()),
        "annotated.pdf": (pdf(b"<</Type/Catalog>>", b"<</Type/Annot/Subtype/Highlight/T(" + WHO + b")>>"), "not-removable", {"names"}),
        "packed.pdf": (pdf(b"<</Type/Catalog>>", stream), "not-removable", {"names"}),
        "photo.pdf": (pdf(b"<</Type/Catalog>>", b"<</Subtype/Image/Filter/DCTDecode>>stream\n" + photo + b"\nendstream"), "not-removable", {"place"}),
        "written.rtf": (b"{\\rtf1{\\info{\\author " + WHO + b"}}hello}", "not-removable", {"names"}),
        "plain.rtf": (b"{\\rtf1 hello}", "unchanged", set()),
        "drawn.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%Creator: " + WHO + b"\n%%For: " + WHO + b"\nshowpage", "not-removable", {"names", "camera"}),
    }


def every(photo):
    """All of them: name to bytes, the word that has to come out, and what has to be told."""
    return {
        **raws(),
        **odd_tiffs(),
        **drawings(photo),
        **jpeg_xl(),
        **other_pictures(),
        **sounds(),
        **films(),
        **documents(photo),
    }

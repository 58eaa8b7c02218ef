//! What names of boxes, tags, fields and files say of what stands in them: one table for free
//! text, which every format with such text is looked through by.

use super::Findings;
use super::bytes::{contains, find_iter};

/// One of the [`Findings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    Place,
    Camera,
    Serial,
    Time,
    Names,
    Preview,
    Text,
    Other,
}

impl Findings {
    /// Notes that the file says this.
    pub(super) fn tell(&mut self, what: Tell) {
        *match what {
            Tell::Place => &mut self.place,
            Tell::Camera => &mut self.camera,
            Tell::Serial => &mut self.serial,
            Tell::Time => &mut self.time,
            Tell::Names => &mut self.names,
            Tell::Preview => &mut self.preview,
            Tell::Text => &mut self.text,
            Tell::Other => &mut self.other,
        } = true;
    }

    /// Notes what names in a piece of metadata say: XMP, makers' XML, QuickTime keys, the
    /// comments of sound files, lists of RIFF.
    pub(super) fn note_words(&mut self, text: &[u8]) {
        for (word, tell) in WORDS {
            if contains(text, word) {
                self.tell(*tell);
            }
        }
        self.note_paths(text);
    }

    /// Notes folders of somebody's computer; parts of web addresses are none.
    pub(super) fn note_paths(&mut self, text: &[u8]) {
        self.path |= PATHS.iter().any(|path| contains(text, path))
            || HOMES.iter().any(|home| {
                find_iter(text, home).any(|at| {
                    let before = at.checked_sub(1).and_then(|before| text.get(before));
                    before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'/')
                })
            });
    }

    /// Notes all that `other` has.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { place, camera, serial, time, names, path, preview, text, hidden, other } =
            *other;
        self.place |= place;
        self.camera |= camera;
        self.serial |= serial;
        self.time |= time;
        self.names |= names;
        self.path |= path;
        self.preview |= preview;
        self.text |= text;
        self.hidden |= hidden;
        self.other |= other;
    }
}

const PATHS: &[&[u8]] = &[
    b"file:///",
    b":\\Users\\",
    b":/Users/",
    b":\\Documents and Settings\\",
    // The same as UTF-16.
    b":\0\\\0U\0s\0e\0r\0s\0",
];

const HOMES: &[&[u8]] = &[b"/home/", b"/Users/"];

const WORDS: &[(&[u8], Tell)] = &[
    (b"GPSL", Tell::Place),
    (b"GPSCoordinates", Tell::Place),
    (b"gps", Tell::Place),
    (b"ISO6709", Tell::Place),
    (b"atitude", Tell::Place),
    (b"LOCATION", Tell::Place),
    (b"\xa9xyz", Tell::Place),
    (b"LocationCreated", Tell::Place),
    (b"LocationShown", Tell::Place),
    (b"photoshop:City", Tell::Place),
    (b"Iptc4xmpCore:Location", Tell::Place),
    (b"tiff:Model", Tell::Camera),
    (b"tiff:Make", Tell::Camera),
    (b"aux:Lens", Tell::Camera),
    (b"CreatorTool", Tell::Camera),
    (b"Software", Tell::Camera),
    (b"modelName", Tell::Camera),
    (b"manufacturer", Tell::Camera),
    (b"MAKE", Tell::Camera),
    (b"MODEL", Tell::Camera),
    (b"quicktime.make", Tell::Camera),
    (b"quicktime.model", Tell::Camera),
    (b"quicktime.software", Tell::Camera),
    (b"com.android", Tell::Camera),
    (b"ENCODE", Tell::Camera),
    (b"encoder", Tell::Camera),
    (b"erialN", Tell::Serial),
    (b"DocumentID", Tell::Serial),
    (b"InstanceID", Tell::Serial),
    (b"ImageUniqueID", Tell::Serial),
    (b"content.identifier", Tell::Serial),
    (b"umid", Tell::Serial),
    (b"UMID", Tell::Serial),
    (b"CreateDate", Tell::Time),
    (b"DateCreated", Tell::Time),
    (b"CreationDate", Tell::Time),
    (b"reationdate", Tell::Time),
    (b"creation_time", Tell::Time),
    (b"ModifyDate", Tell::Time),
    (b"MetadataDate", Tell::Time),
    (b"DATE", Tell::Time),
    (b"dc:creator", Tell::Names),
    (b"dc:rights", Tell::Names),
    (b"uthor", Tell::Names),
    (b"AUTHOR", Tell::Names),
    (b"rtist", Tell::Names),
    (b"ARTIST", Tell::Names),
    (b"COPYRIGHT", Tell::Names),
    (b"CreatorContactInfo", Tell::Names),
    (b"PersonInImage", Tell::Names),
    (b"OwnerName", Tell::Names),
    (b"photoshop:Credit", Tell::Names),
    (b"mwg-rs:", Tell::Names),
    (b"TITLE", Tell::Text),
    (b"COMMENT", Tell::Text),
    (b"DESCRIPTION", Tell::Text),
];

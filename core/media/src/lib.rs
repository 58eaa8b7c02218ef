//! What an upload is and what it gives away, and how to send it without that.
//!
//! Sans-I/O: an [`Examination`] asks for byte ranges of the file ([`Examination::need`]), is given
//! them ([`Examination::supply`]) and ends in a [`Report`]: what was found, and a [`Plan`] of
//! ranges to keep and bytes to put between them. The file itself is never held here; for formats
//! with an index (HEIC, AVIF, TIFF, ZIP, PDF) only a few ranges of it are ever read.
//!
//! The parsers of containers are Mantle's own: the crates at hand (img-parts, little_exif, zip,
//! mp4) take whole files or a blocking `Seek` and give whole copies back. Exif blocks are read by the
//! same tables as TIFF, which a page loads anyway; kamadak-exif, which would be a twentieth of the
//! module, judges that in the tests. DEFLATE in Office files is read by miniz_oxide.
//!
//! What stays is on a list per format; everything else goes. Pixels, frames, orientation and the
//! curves of colour profiles are kept to the bit. A file that is not understood whole is never
//! rewritten: it is asked about, and the original stays as it is. Reading is as lenient as
//! browsers are, so that what they show is cleaned too; what is written keeps to the rules.

mod bitmap;
mod bmff;
mod bytes;
mod decision;
mod documents;
mod exif;
mod film;
mod gif;
mod heif;
mod icc;
mod index;
mod jpeg;
mod jxl;
mod kind;
pub mod links;
mod matroska;
mod plan;
mod png;
mod raw;
mod reader;
mod riff;
pub mod server;
mod sound;
mod svg;
mod tells;
mod tiff;
mod webp;

pub use decision::{
    Ask, Choice, Decision, Remembered, ServerMedia, Settings, Upload, decide, is_ciphertext,
    without_name,
};
pub use kind::Kind;
pub use plan::{Piece, Plan};

use reader::{Reader, Slot};
use serde::Serialize;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Why metadata cannot be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The file ends before its parts do.
    #[error("the file breaks off in the middle")]
    Truncated,
    /// Against the format's rules.
    #[error("the file is damaged or made to confuse programs that read it")]
    Malformed,
    /// More parts than any real file has.
    #[error("the file has far more parts than a real one")]
    TooComplex,
    /// A variant nobody has taught Mantle.
    #[error("Mantle does not know this variant of the format")]
    Unsupported,
    /// The format keeps metadata where it cannot be told from the rest.
    #[error("Mantle cannot remove details from this kind of file")]
    NotRemovable,
}

/// What a file says beside its content. Each is a yes or no: values are never kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Where it was made.
    pub place: bool,
    /// Make and model of camera, lens or phone.
    pub camera: bool,
    /// Serial numbers and unique ids.
    pub serial: bool,
    /// When it was made.
    pub time: bool,
    /// Author, owner, company.
    pub names: bool,
    /// Folders of the computer it was made on.
    pub path: bool,
    /// A smaller second picture, which may show what was cut away.
    pub preview: bool,
    /// Captions, comments, XMP, IPTC.
    pub text: bool,
    /// Data after the file's end, or that nothing refers to.
    pub hidden: bool,
    /// Anything else that is not needed to show the file.
    pub other: bool,
}

impl Findings {
    /// Whether there is anything.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// What came of an examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// By its first bytes, never by name or declared type.
    pub kind: Kind,
    /// What it says.
    pub findings: Findings,
    /// How to send it without that; an unchanged plan where there is nothing to remove.
    pub plan: Result<Plan, Refusal>,
}

/// A range of the file that is needed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// First byte.
    pub offset: u64,
    /// Number of bytes, at least one and never past the end.
    pub length: usize,
}

/// Bytes that a kind is known by.
const FIRST: usize = 4096;
/// Each becomes a part of a `Blob` in the page.
const MAX_PIECES: usize = 50_000;

/// One file under examination.
pub struct Examination {
    slot: Rc<RefCell<Slot>>,
    work: Pin<Box<dyn Future<Output = Report>>>,
    report: Option<Report>,
}

impl fmt::Debug for Examination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Examination").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Examination {
    /// Of a file of `size` bytes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let slot = Rc::new(RefCell::new(Slot::default()));
        let reader = Reader::new(Rc::clone(&slot), size);
        Self { slot, work: Box::pin(examine(reader)), report: None }
    }

    /// What to read next; `None` when the report is there.
    pub fn need(&mut self) -> Option<Need> {
        if self.report.is_some() {
            return None;
        }
        match self.work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(report) => {
                self.report = Some(report);
                None
            }
            Poll::Pending => self.slot.borrow().wanted,
        }
    }

    /// The range that was needed; fewer bytes where the file turned out shorter.
    pub fn supply(&mut self, bytes: impl Into<Vec<u8>>) {
        self.slot.borrow_mut().supply(bytes.into());
    }

    /// The outcome, once nothing more is needed.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }
}

async fn examine(reader: Reader) -> Report {
    let size = reader.size();
    let mut findings = Findings::default();
    let head = reader.head().await;
    let mut kind = Kind::of(&head, size);
    let plan = match cleaner(&reader, &head, &mut kind, &mut findings).await {
        // Nothing to remove: not a byte changes.
        Ok(_) if !findings.any() => Ok(Plan::unchanged(size)),
        Ok(plan) if plan.pieces().len() > MAX_PIECES => Err(Refusal::TooComplex),
        Ok(plan) => still_known(&reader, kind, plan).await,
        Err(refusal) => {
            if refusal != Refusal::NotRemovable && !kind.is_picture() {
                // Not gone through to its end, and sent unasked: told is what its ends say.
                let _ = documents::any(&reader, &mut findings).await;
            }
            Err(refusal)
        }
    };
    Report { kind, findings, plan }
}

/// Refuses a plan that makes a file which would be taken for another kind by its first bytes.
async fn still_known(reader: &Reader, kind: Kind, plan: Plan) -> Result<Plan, Refusal> {
    let mut head = Vec::new();
    for piece in plan.pieces() {
        let left = FIRST - head.len();
        let most = |length: u64| usize::try_from(length).unwrap_or(left).min(left);
        match piece {
            Piece::Keep { from, to } => head.extend(reader.read(*from, most(to - from)).await?),
            Piece::Bytes(bytes) => head.extend_from_slice(bytes.get(..left).unwrap_or(bytes)),
            Piece::Zeros(length) => head.resize(head.len() + most(*length), 0),
        }
        if head.len() >= FIRST {
            break;
        }
    }
    let made = Kind::of(&head, plan.new_size());
    if made.is_unknown() || made.noun() == kind.noun() {
        Ok(plan)
    } else {
        Err(Refusal::Unsupported)
    }
}

/// What goes through a file of this kind. Each kind's parser is a future of its own: as parts of one
/// they are a single function, which compilers make twice as long.
fn cleaner<'a>(
    reader: &'a Reader,
    head: &[u8],
    kind: &'a mut Kind,
    findings: &'a mut Findings,
) -> Pin<Box<dyn Future<Output = Result<Plan, Refusal>> + 'a>> {
    match *kind {
        Kind::Jpeg => Box::pin(jpeg::clean(reader, findings)),
        Kind::Png => Box::pin(png::clean(reader, findings)),
        Kind::Gif => Box::pin(gif::clean(reader, findings)),
        Kind::WebP => Box::pin(webp::clean(reader, findings)),
        Kind::Heif => Box::pin(heif::clean(reader, findings)),
        Kind::Tiff => Box::pin(tiff::clean(reader, kind, findings)),
        Kind::JpegXl => Box::pin(jxl::clean(reader, findings)),
        Kind::Svg => Box::pin(svg::clean(reader, findings)),
        Kind::Bitmap => Box::pin(bitmap::clean(reader, findings)),
        Kind::Raw => Box::pin(raw::tell(reader, findings)),
        Kind::Picture => Box::pin(async {
            documents::any(reader, findings).await.and(Err(Refusal::NotRemovable))
        }),
        Kind::Pdf => Box::pin(documents::pdf(reader, findings)),
        Kind::Zip | Kind::Office => Box::pin(documents::office(reader, kind, findings)),
        Kind::OldOffice => Box::pin(documents::old_office(reader, findings)),
        Kind::Document => Box::pin(documents::any(reader, findings)),
        Kind::Video => Box::pin(film::tell(reader, findings)),
        Kind::Sound if head.get(4..8) == Some(b"ftyp") => Box::pin(film::sound(reader, findings)),
        Kind::Matroska => Box::pin(matroska::tell(reader, findings)),
        Kind::Avi => Box::pin(riff::film(reader, findings)),
        Kind::Wav => Box::pin(riff::sound(reader, findings)),
        Kind::Mp3 => Box::pin(sound::mp3(reader, findings)),
        Kind::Flac => Box::pin(sound::flac(reader, 0, findings)),
        Kind::Ogg => Box::pin(sound::ogg(reader, findings)),
        Kind::Film | Kind::Sound => Box::pin(sound::other(reader, findings)),
        Kind::Text | Kind::Other | Kind::Random => {
            Box::pin(std::future::ready(Ok(Plan::unchanged(reader.size()))))
        }
    }
}

/// Looks at a file within a file, which is at hand: its kind, what it says, and whether it can stay
/// as it is.
fn look_within(bytes: Vec<u8>) -> (Kind, Findings, bool) {
    let mut examination = Examination::new(bytes.len() as u64);
    while let Some(need) = examination.need() {
        let from = usize::try_from(need.offset).unwrap_or(usize::MAX);
        let part = bytes.get(from..from.saturating_add(need.length)).unwrap_or_default();
        examination.supply(part);
    }
    examination.report().map_or((Kind::Other, Findings::default(), false), |report| {
        (report.kind, report.findings, report.plan.is_ok())
    })
}

//! Windows bitmaps: pixels and a palette, and nothing to remove but what stands behind them.

use super::bytes::{four, le32};
use super::plan::Plan;
use super::reader::Reader;
use super::{Findings, Refusal};

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let head = reader.read(0, usize::try_from(size.min(138)).unwrap_or(0)).await?;
    let header = le32(&head, 14).ok_or(Refusal::Truncated)?;
    let pixels = le32(&head, 10).ok_or(Refusal::Truncated)?;
    // A profile within the file or a link to one on its maker's computer.
    if header >= 124
        && matches!(four(&head, 70), Some([b'D' | b'K', b'E' | b'N', b'B' | b'I', b'M' | b'L']))
    {
        found.other = true;
        found.path |= four(&head, 70) == Some(*b"KNIL");
        return Err(Refusal::NotRemovable);
    }
    let stated = u64::from(le32(&head, 2).unwrap_or(0));
    let is_gap = u64::from(pixels) > 14 + u64::from(header) + 1024 + 12;
    // Programs state no size at times; then all of it may be pixels.
    if is_gap || stated > u64::from(pixels) && stated + 4 < size {
        found.hidden = true;
        return Err(Refusal::NotRemovable);
    }
    Ok(Plan::unchanged(size))
}

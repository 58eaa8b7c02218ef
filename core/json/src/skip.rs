//! Ends of strings and objects in bytes that are too many to parse, or only a part.

use memchr::memchr2;

const SHORT_STRING: usize = 24;

/// The end of the object that directly holds what starts at `from`, outside any string; `None` when it
/// is not reached before `ceiling`.
pub fn walk_on(answer: &[u8], from: usize, ceiling: usize) -> Option<usize> {
    let answer = answer.get(..ceiling)?;
    let mut depth = 0_usize;
    let mut at = from;
    while at < ceiling {
        match answer.get(at)? {
            b'"' => {
                at = string_end(answer, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' if depth == 0 => return Some(at + 1),
            b']' if depth == 0 => return None,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The position after the string that starts at `quote`.
pub fn string_end(answer: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    // Most strings are too short for a vectorised search to pay.
    for byte in answer.get(at..)?.iter().take(SHORT_STRING) {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => break,
            _ => at += 1,
        }
    }
    loop {
        at += memchr2(b'"', b'\\', answer.get(at..)?)?;
        if answer.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

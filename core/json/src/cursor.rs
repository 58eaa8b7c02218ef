//! One pass over JSON text, of any depth, exactly as strict as `JSON.parse` (ECMA-404, RFC 8259).
//!
//! It goes over bytes. Outside strings only ASCII is JSON. Inside them, whatever is no UTF-8 a decoder
//! replaces; it never takes an ASCII byte with it (Encoding Standard, 'UTF-8 decoder'). So strings end
//! here where they end in the text that the page has.

use std::ops::Range;

/// Why a text could not be read. Carries no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not one JSON value (RFC 8259).
    #[error("not valid JSON, broken near byte {at}")]
    Malformed {
        /// Position of the first byte that cannot stand there.
        at: usize,
    },
}

/// The key of a member, in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Between the quotes.
    pub raw: &'a [u8],
    /// Whether it has escapes.
    pub is_escaped: bool,
    /// Of its opening quote.
    pub at: usize,
}

/// All four at once.
const fn are_hexadecimal(digits: [u8; 4]) -> bool {
    const ONES: u32 = u32::MAX / 0xff;
    const HIGH: u32 = ONES << 7;
    let word = u32::from_le_bytes(digits);
    let low = word & !HIGH;
    let letters = low | ONES << 5;
    // Above the first bound and not above the second: no byte carries into the next.
    let figure = (low + ONES * (0x80 - b'0' as u32)) & !(low + ONES * (0x7f - b'9' as u32));
    let letter = (letters + ONES * (0x80 - b'a' as u32)) & !(letters + ONES * (0x7f - b'f' as u32));
    word & HIGH == 0 && (figure | letter) & HIGH == HIGH
}

/// How long the texts are that are looked for: most others need no more of a look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lengths(u64);

impl Lengths {
    pub(crate) const fn add(&mut self, text: &str) {
        self.0 |= 1 << (text.len() % 64);
    }

    /// False where none of them is so long.
    pub(crate) const fn may_be(self, length: usize) -> bool {
        self.0 >> (length % 64) & 1 == 1
    }
}

/// Reads JSON text from front to back.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    /// What closes the arrays and objects around the present value, kept for its memory.
    nesting: Vec<u8>,
}

impl<'a> Cursor<'a> {
    /// At the start of a text.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self::from(text, 0)
    }

    /// At a position of a text, where a value begins.
    #[must_use]
    pub const fn from(text: &'a [u8], at: usize) -> Self {
        Self { text, at, nesting: Vec::new() }
    }

    /// Reads no further than so many bytes from here, until it is told to [go on](Self::go_on); gives what
    /// it would have read without.
    pub(crate) fn stop_after(&mut self, most: usize) -> &'a [u8] {
        let whole = self.text;
        self.text = whole.get(..self.at.saturating_add(most)).unwrap_or(whole);
        whole
    }

    /// Whether it came to where it was to stop, or could not tell what stands there.
    pub(crate) fn go_on(&mut self, whole: &'a [u8], is_read: bool) -> bool {
        // Half a number may seem whole.
        let is_stopped = self.text.len() < whole.len() && (!is_read || self.at == self.text.len());
        self.text = whole;
        is_stopped
    }

    /// Position of the next byte.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is no white space.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                next => return next.copied(),
            }
        }
    }

    /// At the end of the text, but for white space.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when something follows.
    pub fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_some() { self.fail() } else { Ok(()) }
    }

    /// Goes over the next value; where it stands.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when it is none.
    pub fn value(&mut self) -> Result<Range<usize>, JsonError> {
        let next = self.peek();
        let start = self.at;
        match next {
            Some(b'"') => return self.string().map(|_| start..self.at),
            Some(b'-' | b'0'..=b'9') => return self.number().map(|()| start..self.at),
            _ => {}
        }
        self.nesting.clear();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{') => {
                    if self.first_key()?.is_some() {
                        self.nesting.push(b'}');
                        continue;
                    }
                }
                Some(b'[') => {
                    if self.first_element()? {
                        self.nesting.push(b']');
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return self.fail(),
            }
            loop {
                match self.nesting.last() {
                    None => return Ok(start..self.at),
                    Some(b'}') => {
                        if self.next_key()?.is_some() {
                            break;
                        }
                    }
                    Some(_) => {
                        if self.next_element()? {
                            break;
                        }
                    }
                }
                self.nesting.pop();
            }
        }
    }

    /// Into the object that starts here, up to its first member's value; `None` when it has none, and
    /// then it is gone over.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when there is no object.
    pub fn first_key(&mut self) -> Result<Option<Key<'a>>, JsonError> {
        self.expect(b'{')?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        self.key().map(Some)
    }

    /// After a member's value: the next one's key, up to its value; `None` at the object's end, which
    /// is gone over.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when neither follows.
    pub fn next_key(&mut self) -> Result<Option<Key<'a>>, JsonError> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.key().map(Some)
            }
            Some(b'}') => {
                self.at += 1;
                Ok(None)
            }
            _ => self.fail(),
        }
    }

    /// Into the array that starts here; whether it has elements, and else it is gone over.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when there is no array.
    pub fn first_element(&mut self) -> Result<bool, JsonError> {
        self.expect(b'[')?;
        let is_empty = self.peek() == Some(b']');
        if is_empty {
            self.at += 1;
        }
        Ok(!is_empty)
    }

    /// After an element: whether one follows; the array's end is gone over.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when neither follows.
    pub fn next_element(&mut self) -> Result<bool, JsonError> {
        let next = self.peek();
        if !matches!(next, Some(b',' | b']')) {
            return self.fail();
        }
        self.at += 1;
        Ok(next == Some(b','))
    }

    fn key(&mut self) -> Result<Key<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return self.fail();
        }
        let at = self.at;
        let is_escaped = self.string()?;
        let raw = self.text.get(at + 1..self.at - 1).unwrap_or_default();
        self.expect(b':')?;
        Ok(Key { raw, is_escaped, at })
    }

    /// Over the string that starts here; whether it has escapes.
    pub(crate) fn string(&mut self) -> Result<bool, JsonError> {
        let mut is_escaped = false;
        self.at += 1;
        loop {
            self.plain();
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(is_escaped);
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escapes()?;
                }
                _ => return self.fail(),
            }
        }
    }

    /// Over the escapes that start here, one after the other.
    fn escapes(&mut self) -> Result<(), JsonError> {
        while let Some([b'\\', letter]) = self.text.get(self.at..self.at + 2) {
            match letter {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                b'u' => {
                    let digits = self.text.get(self.at + 2..).and_then(<[u8]>::first_chunk::<4>);
                    self.at += 6;
                    if !digits.is_some_and(|digits| are_hexadecimal(*digits)) {
                        return self.fail();
                    }
                }
                _ => return self.fail(),
            }
        }
        // A backslash at the very end.
        if self.text.get(self.at) == Some(&b'\\') { self.fail() } else { Ok(()) }
    }

    /// Over what needs no look inside a string: eight bytes at a time, up to a quote, a backslash or
    /// a control character.
    fn plain(&mut self) {
        const ONES: u64 = u64::MAX / 0xff;
        const HIGH: u64 = ONES << 7;
        const QUOTES: u64 = ONES * b'"' as u64;
        const BACKSLASHES: u64 = ONES * b'\\' as u64;
        const SPACES: u64 = ONES * b' ' as u64;
        while let Some(bytes) = self.text.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*bytes);
            let (quotes, slashes) = (word ^ QUOTES, word ^ BACKSLASHES);
            // The lowest bit set is at the first such byte; above it there may be false ones.
            let found = (quotes.wrapping_sub(ONES) & !quotes
                | slashes.wrapping_sub(ONES) & !slashes
                | word.wrapping_sub(SPACES) & !word)
                & HIGH;
            if found != 0 {
                self.at += (found.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.text.get(self.at)
            && !matches!(byte, b'"' | b'\\' | 0..=0x1f)
        {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { self.fail() } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        let end = self.at + word.len();
        if self.text.get(self.at..end) != Some(word) {
            return self.fail();
        }
        self.at = end;
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return self.fail();
        }
        self.at += 1;
        Ok(())
    }

    const fn fail<Value>(&self) -> Result<Value, JsonError> {
        Err(JsonError::Malformed { at: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_those_of_json() {
        for byte in 0..=255_u8 {
            for place in 0..4 {
                let mut digits = *b"0aF9";
                digits[place] = byte;
                assert_eq!(are_hexadecimal(digits), byte.is_ascii_hexdigit(), "{byte} at {place}");
            }
        }
    }
}

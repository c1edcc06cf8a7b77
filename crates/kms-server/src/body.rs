//! Bodies, read under a limit and within a time.

use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use hyper::http::HeaderMap;
use kms_api::Failure;
use kms_secret::SecretBytes;

use crate::failures;

/// A body in memory.
pub(crate) enum Received {
    /// As it came.
    Plain(Bytes),
    /// In locked memory, wiped when dropped.
    Secret(SecretBytes),
}

impl Received {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Secret(bytes) => bytes.expose(),
        }
    }
}

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// At most so many bytes.
    pub(crate) limit: usize,
    /// As many as are announced, or the limit.
    pub(crate) expected: usize,
    /// Within this time.
    pub(crate) within: Duration,
    /// Into locked memory.
    pub(crate) secret: bool,
}

/// Refuses a body that is not JSON. None at all is taken for an empty object.
///
/// # Errors
/// When the header says something else.
pub(crate) fn check_kind(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default();
    let name = kind.split(';').next().unwrap_or_default().trim();
    if name.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(failures::not_json()) }
}

/// Reads a body.
///
/// # Errors
/// When it is longer than allowed, or did not come in time.
pub(crate) async fn read<B>(body: B, how: Reading) -> Result<Received, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().lower();
    if announced > how.limit as u64 {
        return Err(failures::body_too_long(how.limit));
    }
    let reading = tokio::time::timeout(how.within, frames(body, how));
    reading.await.unwrap_or_else(|_| Err(failures::body_cut_off()))
}

async fn frames<B>(mut body: B, how: Reading) -> Result<Received, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut sink =
        if how.secret { Sink::secret(how.expected) } else { Sink::Plain(BytesMut::new()) };
    let mut whole: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| failures::body_cut_off())?;
        let Ok(data) = frame.into_data() else { continue };
        if let (None, Sink::Plain(sunk)) = (&whole, &sink)
            && sunk.is_empty()
        {
            whole = Some(data); // most bodies come in one piece, and are not copied
        } else {
            if let Some(first) = whole.take() {
                sink.put(&first, how.limit)?;
            }
            sink.put(&data, how.limit)?;
        }
        if whole.as_ref().is_some_and(|whole| whole.len() > how.limit) {
            return Err(failures::body_too_long(how.limit));
        }
    }
    Ok(match whole {
        Some(whole) => Received::Plain(whole),
        None => sink.done(),
    })
}

enum Sink {
    Plain(BytesMut),
    Secret(SecretBytes, usize),
}

impl Sink {
    /// Locked memory is short, so no more of it is taken than was announced.
    fn secret(expected: usize) -> Self {
        Self::Secret(SecretBytes::zeroed(expected.min(64 << 10)), 0)
    }

    fn put(&mut self, data: &[u8], limit: usize) -> Result<(), Failure> {
        let (len, room) = match self {
            Self::Plain(bytes) => (bytes.len(), limit),
            Self::Secret(bytes, len) => (*len, bytes.len().min(limit)),
        };
        if data.len() > room.saturating_sub(len) {
            return Err(failures::body_too_long(room));
        }
        match self {
            Self::Plain(bytes) => bytes.extend_from_slice(data),
            Self::Secret(bytes, len) => {
                let place = bytes.expose_mut().get_mut(*len..*len + data.len());
                place.unwrap_or_default().copy_from_slice(data);
                *len += data.len();
            }
        }
        Ok(())
    }

    fn done(self) -> Received {
        match self {
            Self::Plain(bytes) => Received::Plain(bytes.freeze()),
            Self::Secret(mut bytes, len) => {
                bytes.truncate(len);
                Received::Secret(bytes)
            }
        }
    }
}

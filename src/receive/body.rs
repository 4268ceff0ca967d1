//! Reads bodies: together they may hold a bounded number of bytes, and when there are more, the body that has
//! taken longest is evicted. So slow senders cannot block the others.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use crate::http::eviction::EvictionQueue;
use crate::http::problem::Problem;

/// Bytes that the unfinished bodies of one source may hold together.
const READING_MAX_BYTES: usize = 64 * 1024 * 1024;
/// A body that is too large is drained up to this many times the limit: a sender that is still writing would
/// otherwise see a broken connection instead of the 413.
const DRAIN_FACTOR: usize = 8;

/// The bodies of one source.
pub(super) struct BodyReader {
    limit: usize,
    free_bytes: Semaphore,
    in_progress: EvictionQueue,
    /// Held while bodies are evicted for one that needs room.
    evicting: Mutex<()>,
}

impl BodyReader {
    /// For bodies of `limit` bytes at most.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            free_bytes: Semaphore::new(READING_MAX_BYTES.max(limit)),
            in_progress: EvictionQueue::default(),
            evicting: Mutex::default(),
        }
    }

    /// The longest body.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Reading stops here: what is between the limit and this is drained.
    pub(super) fn drain_limit(&self) -> usize {
        self.limit.saturating_mul(DRAIN_FACTOR)
    }

    /// The whole body, unless it is evicted.
    pub(super) async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        // Dropped after the body, whose bytes are free by then.
        let eviction = self.in_progress.push();
        tokio::select! {
            body = self.whole(body) => body,
            () = eviction.evicted() => Err(Problem::overloaded()),
        }
    }

    /// The whole body, if it is within the limit; a declared length is not trusted.
    async fn whole(&self, body: Body) -> Result<Bytes, Problem> {
        let mut permits = Vec::new();
        let mut chunks = body.into_data_stream();
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        let mut length = 0_usize;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Problem::broken_off())?;
            length = length.saturating_add(chunk.len());
            if length > self.drain_limit() {
                break;
            }
            if length > self.limit {
                (first, joined) = (Bytes::new(), BytesMut::new());
                permits.clear();
                continue;
            }
            permits.push(self.reserve(chunk.len()).await?);
            if length == chunk.len() {
                // Most bodies come in one chunk, which is not copied.
                first = chunk;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut first));
                joined.extend_from_slice(&chunk);
            }
        }
        match (length > self.limit, joined.is_empty()) {
            (true, _) => Err(Problem::too_large(self.limit)),
            (false, true) => Ok(first),
            (false, false) => Ok(joined.freeze()),
        }
    }

    /// Room for so many bytes. Evicts the body that has taken longest, which may be the caller's.
    async fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Problem> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Ok(permit) = self.free_bytes.try_acquire_many(bytes) {
            return Ok(permit);
        }
        // An evicted body releases its bytes in its own task. No other is evicted before that.
        let _evicting = self.evicting.lock().await;
        loop {
            if let Ok(permit) = self.free_bytes.try_acquire_many(bytes) {
                return Ok(permit);
            }
            self.in_progress.evict_oldest().ok_or_else(Problem::overloaded)?.released().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, stream};

    use super::*;

    const LIMIT: usize = READING_MAX_BYTES / 4;

    fn body(pieces: usize, ends: bool) -> Body {
        let piece = Bytes::from(vec![b'x'; LIMIT / 2]);
        let pieces = stream::iter(vec![Ok::<_, Infallible>(piece); pieces]);
        if ends { Body::from_stream(pieces) } else { Body::from_stream(pieces.chain(stream::pending())) }
    }

    #[tokio::test]
    async fn no_more_slow_bodies_are_evicted_than_a_fast_one_needs() {
        let body_reader = BodyReader::new(LIMIT);
        let mut slow: Vec<_> = (0..8).map(|_| Box::pin(body_reader.read(body(1, false)))).collect();
        for body in &mut slow {
            assert!(body.as_mut().now_or_never().is_none());
        }
        assert_eq!(body_reader.free_bytes.available_permits(), 0);
        let others = async {
            while slow.len() > 6 {
                slow.retain_mut(|body| body.as_mut().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
        };
        let (whole, ()) = tokio::join!(body_reader.read(body(2, true)), others);
        assert_eq!(whole.unwrap().len(), LIMIT);
        slow.retain_mut(|body| body.as_mut().now_or_never().is_none());
        assert_eq!(slow.len(), 6);
    }
}

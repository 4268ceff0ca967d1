//! Ordered shutdown: work in progress finishes, within a deadline.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shared by everything that runs in the background. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Cancelled when the process should accept nothing new and finish what it has.
    pub stopping: CancellationToken,
    /// The listener, its connections and tasks of requests: shutdown waits for these first.
    pub requests: TaskTracker,
    /// Every other background task, so that shutdown can wait for them.
    pub tasks: TaskTracker,
}

/// What was still running at the deadline of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped at the deadline with {requests} requests and {tasks} tasks under way")]
pub struct Unfinished {
    /// Connections, and events being made durable.
    pub requests: usize,
    /// Background tasks.
    pub tasks: usize,
}

impl Lifecycle {
    /// Stops on SIGTERM or SIGINT; a second one ends the process at once, with exit 1.
    ///
    /// # Errors
    /// If the signals cannot be listened to.
    pub fn stop_on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stopping = self.stopping.clone();
        // Not among the tasks that shutdown waits for: it waits for the second signal until the end.
        TaskTracker::new().spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tracing::info!("stopping; a second signal ends at once");
            stopping.cancel();
            either(&mut terminate, &mut interrupt).await;
            std::process::exit(1);
        });
        Ok(())
    }

    /// Stops in order: the listener closes, requests in progress are answered, then the rest ends.
    ///
    /// # Errors
    /// What was still running when `deadline` had passed.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), Unfinished> {
        let deadline = Instant::now() + deadline;
        self.stopping.cancel();
        self.requests.close();
        let answered = timeout_at(deadline, self.requests.wait()).await;
        self.tasks.close();
        let ended = timeout_at(deadline, self.tasks.wait()).await;
        match answered.and(ended) {
            Ok(()) => Ok(()),
            Err(_) => Err(Unfinished { requests: self.requests.len(), tasks: self.tasks.len() }),
        }
    }

    /// Runs `work` until the process stops.
    pub async fn until_stopping<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.stopping.run_until_cancelled(work).await
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_of_the_last_requests_are_waited_for() {
        let lifecycle = Lifecycle::default();
        let here = lifecycle.clone();
        lifecycle.requests.spawn(async move {
            here.stopping.cancelled().await;
            here.tasks.spawn(tokio::task::yield_now());
        });
        assert_eq!(lifecycle.shutdown(Duration::from_secs(5)).await, Ok(()));
        assert!(lifecycle.tasks.is_empty());
    }

    #[tokio::test]
    async fn shutdown_deadline_holds() {
        let lifecycle = Lifecycle::default();
        lifecycle.requests.spawn(std::future::pending::<()>());
        lifecycle.tasks.spawn(std::future::pending::<()>());
        let stopped = lifecycle.shutdown(Duration::from_millis(20)).await;
        assert_eq!(stopped, Err(Unfinished { requests: 1, tasks: 1 }));
    }
}

//! Signs of life for work that may take more than a second: on stderr, on a terminal only.

use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

/// How often a spinner turns, in milliseconds.
const TICK_MS: u64 = 120;

/// Runs `work` with a spinner and `message` beside it; nothing is shown where stderr is no
/// terminal, and nothing stays behind.
pub(crate) fn spin<T>(message: &'static str, work: impl FnOnce() -> T) -> T {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    spinner.set_style(ProgressStyle::default_spinner());
    spinner.set_message(message);
    spinner.enable_steady_tick(Duration::from_millis(TICK_MS));
    let done = work();
    spinner.finish_and_clear();
    done
}

//! What every backend must do, as cases that each get an empty store opened with [`options`].
//! [`conformance!`](crate::conformance) makes a test of each. Cases panic where the store breaks
//! its word, and fail with the store's error where it should not have given one.

mod reads;
mod reopening;
mod watches;
mod writes;

pub use reads::*;
pub use reopening::*;
pub use watches::*;
pub use writes::*;

use crate::{Entry, Options};

/// Bounds that let the cases reach them.
pub fn options() -> Options {
    Options { watch_queue: 1024, history_events: 10_000, ..Options::default() }
}

/// Makes a test of each case. `$open` is an async function that returns an empty store and
/// whatever must outlive it.
#[macro_export]
macro_rules! conformance {
    ($open:path) => {
        $crate::conformance! { @cases $open:
            a_create_makes_a_state
            a_create_refuses_an_existing_key
            an_update_needs_the_newest_revision
            a_delete_needs_the_newest_revision
            a_hole_holds_the_revision
            one_of_many_creators_wins
            no_increment_is_lost
            revisions_count_every_write
            a_failed_write_takes_no_revision
            a_lazy_write_is_seen_at_once
            a_dropped_write_is_whole_or_absent
            prefixes_are_plain
            a_range_is_ordered_and_paged
            pages_at_one_revision_ignore_later_writes
            every_older_state_can_be_read
            compaction_forgets_history_only
            a_watch_resumes_from_every_revision
            a_watch_shows_what_was_and_what_is
            a_deletion_carries_the_last_state
            watchers_see_concurrent_writes_in_order
            a_watch_sees_its_prefix_only
            a_slow_watcher_is_cut_off_and_can_resume
            progress_follows_other_prefixes
            a_watch_cannot_begin_in_the_future
            closing_ends_everything
        }
    };
    (@cases $open:path: $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _guard) = $open().await;
                $crate::conformance::$case(store).await.expect("an unexpected store error");
            }
        )*
    };
}

/// The value as text.
fn text(entry: &Entry) -> &str {
    std::str::from_utf8(&entry.value).unwrap_or("(not text)")
}

/// The keys, separated by blanks.
fn keys<'a>(entries: impl IntoIterator<Item = &'a std::sync::Arc<Entry>>) -> String {
    let keys: Vec<&str> = entries.into_iter().map(|entry| &*entry.key).collect();
    keys.join(" ")
}

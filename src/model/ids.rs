//! Identifiers. All come from the store and are never reused.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// One durable unit of work.
    JobId
);
id!(
    /// One firing of a task; groups its jobs.
    RunId
);
id!(
    /// Failures of one task, class and code with the same constant part.
    CauseId
);
id!(
    /// A filter frozen at a revision, for bulk actions.
    SelectionId
);

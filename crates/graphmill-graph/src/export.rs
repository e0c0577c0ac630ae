//! The canonical export: JSON Lines of all live data of a collection. The same documents, settings and answers give the same bytes, whatever
//! the order in which they came, the crashes on the way and the backend. No backend is known here: a backend fills [`lines`] in the order
//! that [`ExportWriter`] asks for.
//!
//! Lines, in this order: one `collection`; `document`, `chunk` and `entity` by id; `relation` by (source, target); `similarity` by chunk;
//! `community` by name; one `end` with counts and the BLAKE3 hash of all bytes before it. Left out is what tells one history from
//! another: job ids, tickets, times, generations, space ids, blob keys, `community_id`; and what is empty. Vectors are left out too: a
//! model makes them again from the text.

pub mod lines;
mod writer;

pub use writer::{ExportCounts, ExportWriter};

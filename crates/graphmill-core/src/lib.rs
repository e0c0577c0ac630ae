#![doc = include_str!("../README.md")]

pub mod collection;
pub mod collection_settings;
pub mod content_cache;
pub mod entity_name;
pub mod entity_type;
pub mod error_code;
pub mod event;
pub mod facts;
pub mod fault;
pub mod id;
pub mod job;
pub mod metrics;
#[cfg(feature = "openapi")]
mod openapi;
pub mod time;
pub mod trace;
pub mod words;

pub use collection::CollectionId;
pub use collection_settings::{CollectionSettings, OFFLINE, Quota};
pub use content_cache::{CacheError, CacheKey, CacheUser, ContentCache, PurgedAnswers};
pub use entity_name::EntityName;
pub use entity_type::{ENTITY_TYPES, entity_type_rank};
pub use error_code::ErrorCode;
pub use event::{EventKind, JobEvent};
pub use facts::{AliasEvidence, ChunkFacts, Mention, Statement, text_in_context};
pub use id::{ChunkId, CommunityId, ContentHash, DocumentId, EntityId, IdHasher, JobId};
pub use job::{Epoch, Fence, JobStatus, JobType, Seq, StageStatus, Transition, next_state};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};

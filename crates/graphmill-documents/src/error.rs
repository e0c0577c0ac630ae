//! What can go wrong between a file and its chunks.

use serde::{Deserialize, Serialize};

/// An error of this crate. All fields are plain data, so that an error crosses the pipe of the parser child whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file has no bytes.
    #[error("the file is empty (0 bytes)")]
    EmptyFile,
    /// The bytes are none of the accepted formats, whatever the name says.
    #[error("the file is not of an accepted type: it looks like {found}; accepted are {accepted}")]
    UnsupportedFormat {
        /// What the bytes look like, as a noun with its article.
        found: String,
        /// The accepted types, for people.
        accepted: String,
    },
    /// The document was read and holds no text.
    #[error("the document has no text{}", clause(.reason))]
    NoText {
        /// Why that may be, empty if it is simply blank.
        reason: String,
    },
    /// The document needs a password.
    #[error("the document is encrypted and needs a password")]
    Encrypted {
        /// What the encryption is, for the hint.
        detail: String,
    },
    /// The document has no pages.
    #[error("the document has no pages")]
    NoPages,
    /// The document is damaged beyond repair.
    #[error("the {format} document is damaged beyond repair: {detail}")]
    Damaged {
        /// Name of the format.
        format: String,
        /// What could not be read.
        detail: String,
    },
    /// The file could not be read.
    #[error("cannot read {path}: {detail}")]
    Read {
        /// The path that was opened.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// The parser process died on this document.
    #[error("the parser crashed on this document: {cause}")]
    ParserCrashed {
        /// Signal or exit code, and what the process said last.
        cause: String,
    },
    /// The parser process gave no answer in time and was killed.
    #[error("the parser made no progress for {limit_seconds} s on page {page} and was stopped")]
    ParserTimeout {
        /// The page it worked on (1-based).
        page: u32,
        /// The limit, in seconds.
        limit_seconds: u64,
    },
    /// The parser process used more processor time than a document may.
    #[error("the parser used more than {limit_seconds} s of processor time on this document")]
    ParserCpu {
        /// The limit, in seconds.
        limit_seconds: u64,
    },
    /// The parser process needed more memory than a document may.
    #[error("the parser needed more than {} MiB of memory for this document", .limit_bytes >> 20)]
    ParserMemory {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The parser process answered something that is no answer.
    #[error("the parser gave an answer that cannot be read: {detail}")]
    ParserProtocol {
        /// What was wrong with it.
        detail: String,
    },
    /// The parser process could not be started.
    #[error("cannot start the parser {program}: {detail}")]
    ParserStart {
        /// The program that was to run.
        program: String,
        /// The system's words.
        detail: String,
    },
    /// The pool was shut down.
    #[error("the parser pool is shut down")]
    PoolClosed,
    /// `chunk_size` is out of range.
    #[error("chunk_size {given} is not allowed: it must be from {min} to {max} characters")]
    ChunkSize {
        /// The value given.
        given: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// `chunk_overlap` is not below `chunk_size`.
    #[error("chunk_overlap {given} is not allowed: it must be less than chunk_size, which is {chunk_size} characters")]
    ChunkOverlap {
        /// The value given.
        given: u64,
        /// The chunk size it has to stay below.
        chunk_size: u64,
    },
    /// No chunking strategy has this name.
    #[error("unknown chunking strategy {given:?}: allowed are {allowed}")]
    ChunkStrategy {
        /// The name given.
        given: String,
        /// The names that exist.
        allowed: String,
    },
}

fn clause(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl Error {
    pub(crate) fn unsupported(found: impl Into<String>) -> Self {
        Self::UnsupportedFormat { found: found.into(), accepted: crate::format::ACCEPTED.to_owned() }
    }

    pub(crate) fn read(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Read { path: path.display().to_string(), detail: error.to_string() }
    }

    /// A stable word for programs, in snake case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyFile => "empty_file",
            Self::UnsupportedFormat { .. } => "unsupported_format",
            Self::NoText { .. } => "no_text",
            Self::Encrypted { .. } => "document_encrypted",
            Self::NoPages => "document_without_pages",
            Self::Damaged { .. } => "document_damaged",
            Self::Read { .. } => "document_unreadable",
            Self::ParserCrashed { .. } => "parser_crashed",
            Self::ParserTimeout { .. } => "parser_timeout",
            Self::ParserCpu { .. } => "parser_cpu_limit",
            Self::ParserMemory { .. } => "parser_memory_limit",
            Self::ParserProtocol { .. } => "parser_protocol",
            Self::ParserStart { .. } => "parser_start",
            Self::PoolClosed => "parser_pool_closed",
            Self::ChunkSize { .. } => "invalid_chunk_size",
            Self::ChunkOverlap { .. } => "invalid_chunk_overlap",
            Self::ChunkStrategy { .. } => "invalid_chunk_strategy",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::EmptyFile => "upload the file again; an upload that was cut off may leave an empty one",
            Self::UnsupportedFormat { .. } => "convert the document to one of the accepted types",
            Self::NoText { .. } => "if the pages are scans, run OCR on the document first and upload the result",
            Self::Encrypted { .. } => "save a copy without the password and upload that",
            Self::NoPages | Self::Damaged { .. } => {
                "open the document in its own program, save it anew and upload the new file"
            }
            Self::Read { .. } => "check that the file exists and that the server may read it",
            Self::ParserCrashed { .. } | Self::ParserProtocol { .. } => {
                "the other documents are not affected; please report this document to us"
            }
            Self::ParserTimeout { .. } | Self::ParserCpu { .. } | Self::ParserMemory { .. } => {
                "split the document, or raise the limit: parser.page_seconds, parser.cpu_seconds, parser.memory_mb"
            }
            Self::ParserStart { .. } => "check that the program still exists and may be run",
            Self::PoolClosed => return None,
            Self::ChunkSize { .. } | Self::ChunkOverlap { .. } => "the default is 1000 characters with 200 overlap",
            Self::ChunkStrategy { .. } => return None,
        })
    }

    /// Whether the same document may succeed when it is tried again unchanged.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ParserStart { .. } | Self::PoolClosed | Self::Read { .. } => true,
            Self::EmptyFile
            | Self::UnsupportedFormat { .. }
            | Self::NoText { .. }
            | Self::Encrypted { .. }
            | Self::NoPages
            | Self::Damaged { .. }
            | Self::ParserCrashed { .. }
            | Self::ParserTimeout { .. }
            | Self::ParserCpu { .. }
            | Self::ParserMemory { .. }
            | Self::ParserProtocol { .. }
            | Self::ChunkSize { .. }
            | Self::ChunkOverlap { .. }
            | Self::ChunkStrategy { .. } => false,
        }
    }
}

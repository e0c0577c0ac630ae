//! Reading an upload: every file goes to the blobs as it comes; of its bytes, the first 64 KB decide early whether it is taken at all.

use bytes::{Bytes, BytesMut};
use graphmill_core::{CollectionId, CollectionSettings, DocumentId, ErrorCode};
use graphmill_documents::{Error as DocumentError, Format, HEAD_BYTES, detect, is_blank};
use graphmill_jobs::ingestion::{ChosenOptions, Upload};
use graphmill_jobs::maintenance::Maintenance;
use graphmill_models::ModelChoice;
use graphmill_store::WrittenBlob;

use super::form::{Form, MOST_BYTES};
use super::name;
use crate::error::shortened;
use crate::multipart::{Disposition, Multipart};
use crate::{AppState, Error, Result, Scope};

/// Files that are whole and safe on disk, and not yet named by a job. Dropped before that, their blobs go.
pub(super) struct Uploads {
    pub(super) list: Vec<Upload>,
    /// As the request chose, before the collection's settings filled in the rest.
    pub(super) chosen: ChosenOptions,
    blobs: UnnamedBlobs,
}

impl Uploads {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Jobs name the blobs now.
    pub(super) fn all_named(&mut self) {
        self.blobs.keys.clear();
    }
}

/// Blobs that nobody names yet.
struct UnnamedBlobs {
    keys: Vec<String>,
    maintenance: Maintenance,
}

impl Drop for UnnamedBlobs {
    fn drop(&mut self) {
        // Outside of the runtime nothing can be done; the sweep of unnamed blobs will.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.keys.is_empty() {
            let (keys, maintenance) = (std::mem::take(&mut self.keys), self.maintenance.clone());
            // Looks for names first: nothing goes that a job came to name after all.
            runtime.spawn(async move { maintenance.delete_blobs(keys).await });
        }
    }
}

/// A file that was received whole.
struct File {
    /// As the client gave it.
    given_name: Option<String>,
    format: Format,
    blob: WrittenBlob,
}

/// Reads the whole body.
pub(super) async fn receive(state: &AppState, scope: &Scope, multipart: &mut Multipart) -> Result<Uploads> {
    let mut form = Form::new();
    let mut files = Vec::new();
    let mut blobs = UnnamedBlobs { keys: Vec::new(), maintenance: state.services.maintenance.clone() };
    while let Some(part) = multipart.next_part().await? {
        if part.name == "file" {
            let most = state.config.limits.files;
            if files.len() == most {
                return Err(Error::new(ErrorCode::TooLarge, format!("the request has more than {most} files"))
                    .hint("send them in several requests"));
            }
            let file = receive_file(state, multipart, part).await?;
            blobs.keys.push(file.blob.key.clone());
            files.push(file);
        } else if part.filename.is_some() {
            return Err(Error::invalid(format!("the file part {:?} must be named file", shortened(&part.name))));
        } else {
            let value = receive_field(multipart, &part.name).await?;
            form.set(&part.name, &value)?;
            // A collection that the caller may not write to is refused before its files come, when it is named first.
            scope.writing(form.collection.clone())?;
        }
    }
    let collection = scope.writing(form.collection.clone())?;
    let known = state.jobs().collection(&collection).await?;
    let settings = known.map(|known| known.settings).unwrap_or_default();
    form.check(files.len(), &settings)?;
    let chosen = form.options;
    Ok(Uploads { chosen, list: uploads(form, &collection, &settings, files)?, blobs })
}

async fn receive_field(multipart: &mut Multipart, field: &str) -> Result<String> {
    let mut value = BytesMut::new();
    while let Some(piece) = multipart.data().await? {
        if value.len() + piece.len() > MOST_BYTES {
            let message = format!("the field {} is longer than {MOST_BYTES} bytes", shortened(field));
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        value.extend_from_slice(&piece);
    }
    String::from_utf8(value.into()).map_err(|_| Error::invalid(format!("the field {} is not UTF-8", shortened(field))))
}

async fn receive_file(state: &AppState, multipart: &mut Multipart, part: Disposition) -> Result<File> {
    let shown = part.filename.as_deref().map_or_else(|| "a file without a name".to_owned(), shortened);
    let mut pending: Vec<Bytes> = Vec::new();
    let mut head = BytesMut::new();
    let mut whole = false;
    while head.len() < HEAD_BYTES {
        let Some(piece) = multipart.data().await? else {
            whole = true;
            break;
        };
        head.extend_from_slice(&piece[..piece.len().min(HEAD_BYTES - head.len())]);
        pending.push(piece);
    }
    let format = detect(&head, part.filename.as_deref()).map_err(|e| refused(&shown, &e))?;
    if whole && format != Format::Pdf && std::str::from_utf8(&head).is_ok_and(|text| text.chars().all(is_blank)) {
        return Err(refused(&shown, &DocumentError::NoText { reason: "it holds only white space".to_owned() }));
    }
    let limit = state.config.limits.file_bytes;
    let blobs = &state.services.blobs;
    let mut writer = blobs.writer(&blobs.random_key("original")).await.map_err(|e| unwritten(state, e))?;
    let mut pending = pending.into_iter();
    loop {
        let piece = match pending.next() {
            Some(piece) => piece,
            None if whole => break,
            None => match multipart.data().await? {
                Some(piece) => piece,
                None => break,
            },
        };
        if writer.bytes().saturating_add(piece.len() as u64) > limit {
            return Err(too_large(&shown, limit));
        }
        writer.write(piece).await.map_err(|e| unwritten(state, e))?;
    }
    let blob = writer.finish().await.map_err(|e| unwritten(state, e))?;
    Ok(File { given_name: part.filename, format, blob })
}

/// What the files are, now that all fields are known.
fn uploads(
    form: Form,
    collection: &CollectionId,
    settings: &CollectionSettings,
    files: Vec<File>,
) -> Result<Vec<Upload>> {
    let (options, models) = (form.options.over(settings), ModelChoice::from(settings));
    let mut list: Vec<Upload> = Vec::with_capacity(files.len());
    let mut seen = std::collections::HashSet::new();
    let mut sources = form.sources.into_iter();
    for file in files {
        let source = sources.next();
        let given = file.given_name.filter(|name| !name.is_empty());
        let filename = name::display_name(given.as_deref().or(source.as_deref()).unwrap_or_default())?;
        let source = source.unwrap_or_else(|| filename.clone());
        if !seen.insert(DocumentId::new(collection, &source)) {
            return Err(Error::invalid(format!("two files of this request are the document {:?}", shortened(&source)))
                .hint("give each file a source, for example its relative path"));
        }
        list.push(Upload {
            collection: collection.clone(),
            source,
            filename,
            mime_type: file.format.mime_type().to_owned(),
            original: file.blob.key,
            content_hash: file.blob.hash,
            file_size: file.blob.bytes,
            options,
            models: models.clone(),
            priority: form.priority,
        });
    }
    Ok(list)
}

fn refused(shown: &str, error: &DocumentError) -> Error {
    let code = error.code().parse().unwrap_or(ErrorCode::UnsupportedFormat);
    let refused = Error::new(code, format!("{shown}: {error}"));
    if let Some(hint) = error.hint() { refused.hint(hint) } else { refused }
}

fn too_large(shown: &str, limit: u64) -> Error {
    Error::new(ErrorCode::TooLarge, format!("{shown}: the file is larger than the limit of {}", megabytes(limit)))
        .hint("the setting max_file_mb raises the limit")
}

/// `50 MB (52428800 bytes)`; a limit that is no whole number of MB is shown in bytes.
fn megabytes(bytes: u64) -> String {
    const MB: u64 = 1024 * 1024;
    if bytes.is_multiple_of(MB) { format!("{} MB ({bytes} bytes)", bytes / MB) } else { format!("{bytes} bytes") }
}

/// A blob that could not be written; a full disk stops further uploads at once.
fn unwritten(state: &AppState, error: graphmill_store::Error) -> Error {
    if matches!(error, graphmill_store::Error::Full(_)) {
        state.services.disk.note_full();
    }
    error.into()
}

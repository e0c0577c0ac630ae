//! The layers of settings, as text with the place that each value came from.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, bail};

use super::KEYS;

/// Environment variables of ours that are not settings.
const OTHER_VARIABLES: &[&str] = &["GRAPHMILL_CONFIG", "GRAPHMILL_LOG"];

/// Values by key, the strongest layer only.
pub(crate) struct Layers(BTreeMap<&'static str, (String, String)>);

impl Layers {
    /// Reads the layers: `flags` over `environment` over the file over defaults. An unknown key is an error that names the nearest known one.
    pub(crate) fn read(
        flags: BTreeMap<&'static str, String>,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for key in KEYS.iter().filter(|k| !k.default.is_empty()) {
            values.insert(key.name, (key.default.to_owned(), "the default".to_owned()));
        }
        read_file(file, &mut values)?;
        read_environment(environment, &mut values)?;
        for (name, value) in flags {
            values.insert(name, (value, format!("--{}", name.replace(['.', '_'], "-"))));
        }
        Ok(Self(values))
    }

    /// The value of a key, if it has one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// Where the value of a key came from; empty when it has none.
    pub(crate) fn source(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |(_, source)| source)
    }

    /// The value of a key that has a default.
    pub(crate) fn parse<T: FromStr>(&self, name: &str, what: &str) -> anyhow::Result<T> {
        let (value, source) = self.0.get(name).with_context(|| format!("the setting {name} is missing"))?;
        value.parse().ok().with_context(|| format!("{source}: {value:?} is not {what}"))
    }

    /// A whole number within a range.
    pub(crate) fn number(&self, name: &str, range: RangeInclusive<u64>) -> anyhow::Result<u64> {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        let number: u64 = self.parse(name, &what)?;
        if range.contains(&number) {
            return Ok(number);
        }
        let (value, source) = &self.0[name];
        bail!("{source}: {value:?} is not {what}")
    }
}

type Values = BTreeMap<&'static str, (String, String)>;

fn read_file(file: Option<&Path>, values: &mut Values) -> anyhow::Result<()> {
    let path = file.unwrap_or(Path::new("graphmill.toml"));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => return Ok(()),
        Err(error) => bail!("the settings file {} cannot be read: {error}", path.display()),
    };
    let table: toml::Table = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                for (key, value) in inner {
                    take(&format!("{name}.{key}"), &value, path, values)?;
                }
            }
            value => take(&name, &value, path, values)?,
        }
    }
    Ok(())
}

fn take(name: &str, value: &toml::Value, path: &Path, values: &mut Values) -> anyhow::Result<()> {
    let (name, from_file) = match name.strip_suffix("_file") {
        Some(base) if known(base).is_some() => (base, true),
        _ => (name, false),
    };
    let Some(key) = known(name) else {
        bail!("{}: there is no setting {name:?}; the nearest is {:?}", path.display(), nearest(name));
    };
    let text = match value {
        toml::Value::String(s) => s.clone(),
        toml::Value::Integer(i) => i.to_string(),
        toml::Value::Array(items) => items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(","),
        other => bail!("{}: {name} must be text or a whole number, not {}", path.display(), other.type_str()),
    };
    let text = if from_file { read_secret(text, name)? } else { text };
    values.insert(key, (text, format!("{} ({name})", path.display())));
    Ok(())
}

fn read_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    values: &mut Values,
) -> anyhow::Result<()> {
    for (variable, value) in environment {
        if !variable.starts_with("GRAPHMILL_") || OTHER_VARIABLES.contains(&variable.as_str()) || value.is_empty() {
            continue;
        }
        let of = |name: &str| KEYS.iter().map(|k| k.name).find(|k| variable_of(k) == name);
        let (key, text) = match (of(&variable), variable.strip_suffix("_FILE").and_then(of)) {
            (Some(key), _) => (key, value),
            (None, Some(key)) => (key, read_secret(value, &variable)?),
            (None, None) => {
                let names = KEYS.iter().map(|k| variable_of(k.name));
                let near = names.min_by_key(|n| strsim::damerau_levenshtein(n, &variable)).unwrap_or_default();
                bail!("the environment variable {variable} is no setting; the nearest is {near}");
            }
        };
        values.insert(key, (text, variable));
    }
    Ok(())
}

/// The secret that a file holds.
pub(crate) fn read_secret(path: impl AsRef<Path>, name: &str) -> anyhow::Result<String> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name}: the file {path:?} cannot be read"))?;
    Ok(text.trim().to_owned())
}

fn known(name: &str) -> Option<&'static str> {
    KEYS.iter().map(|k| k.name).find(|k| *k == name)
}

fn nearest(name: &str) -> &'static str {
    KEYS.iter().map(|k| k.name).min_by_key(|k| strsim::damerau_levenshtein(k, name)).unwrap_or_default()
}

/// `embedding.url` → `GRAPHMILL_EMBEDDING_URL`.
pub(super) fn variable_of(name: &str) -> String {
    format!("GRAPHMILL_{}", name.replace('.', "_").to_uppercase())
}

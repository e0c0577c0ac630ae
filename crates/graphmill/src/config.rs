//! Settings: flags over environment over `graphmill.toml` over defaults. One table names every key; the rest follows from it.

mod layers;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use graphmill_graph::neo4j::Neo4jSettings;
use graphmill_models::{Endpoint, ModelSettings, Secret};

pub(crate) use layers::{Layers, read_secret};

/// A setting: its name in `graphmill.toml` (`table.key`), its default, what it is.
pub(crate) struct Key {
    /// `embedding.url`; the environment variable is `GRAPHMILL_EMBEDDING_URL`.
    pub(crate) name: &'static str,
    /// Empty = unset.
    pub(crate) default: &'static str,
    /// For people.
    pub(crate) help: &'static str,
}

/// Every setting there is.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "listen", default: "127.0.0.1:8000", help: "address of the API" },
    Key { name: "data_dir", default: "", help: "folder of all data (default: graphmill under the user's data folder)" },
    Key {
        name: "allowed_hosts",
        default: "",
        help: "further names by which the API may be called, separated by commas",
    },
    Key { name: "allowed_origin", default: "", help: "web origins that may call the API, separated by commas" },
    Key {
        name: "tls_cert",
        default: "",
        help: "PEM file of the server's certificate and those above it; SIGHUP reads it again",
    },
    Key { name: "tls_key", default: "", help: "PEM file of its key" },
    Key { name: "connections", default: "8192", help: "connections at once; more wait" },
    Key {
        name: "connections_per_address",
        default: "512",
        help: "connections at once of one address; this machine's are not counted",
    },
    Key { name: "idle_seconds", default: "60", help: "a client that says or reads nothing for so long is cut" },
    Key { name: "server", default: "", help: "server that the commands talk to (default: the one of the data folder)" },
    Key { name: "ca_cert", default: "", help: "PEM file of an authority that the commands trust besides the system's" },
    Key { name: "token", default: "", help: "key that the commands show to the server" },
    Key {
        name: "server_wait_seconds",
        default: "30",
        help: "how long ingest and others that follow jobs wait for a server that is started again",
    },
    Key { name: "max_file_mb", default: "50", help: "largest uploaded file, in MB" },
    Key { name: "workers", default: "2", help: "ingestions at once" },
    Key { name: "reindex_workers", default: "1", help: "reindexes at once (of one collection always one)" },
    Key {
        name: "reindex_block_rows",
        default: "",
        help: "chunks whose similarities are one unit of work (default: by the size of their vectors)",
    },
    Key { name: "cpu_threads", default: "", help: "threads that compute (default: cores)" },
    Key { name: "stall_seconds", default: "600", help: "a stage that finishes nothing for so long is abandoned" },
    Key { name: "reserve_mb", default: "64", help: "room kept free for job state when the disk is full, in MB" },
    Key {
        name: "auto_reindex",
        default: "5m",
        help: "quiet time after which layers that are behind are brought up by themselves: 30s, 5m, 2h, or off",
    },
    Key {
        name: "graph.url",
        default: "",
        help: "Neo4j server of the graph: neo4j://HOST[:PORT][?database=NAME], also bolt, neo4j+s, bolt+s (default: embedded)",
    },
    Key { name: "graph.user", default: "", help: "its user" },
    Key { name: "graph.password", default: "", help: "its password" },
    Key { name: "embedding.url", default: "", help: "embedding server, ends in /v1 (default: offline model)" },
    Key { name: "embedding.model", default: "", help: "its model" },
    Key { name: "embedding.api_key", default: "", help: "its key" },
    Key {
        name: "llm.url",
        default: "",
        help: "chat server for entity extraction, ends in /v1 (default: offline rules)",
    },
    Key { name: "llm.model", default: "", help: "its model" },
    Key { name: "llm.api_key", default: "", help: "its key" },
    Key { name: "model_concurrency", default: "8", help: "requests at once to each model server" },
    Key {
        name: "model_wait_seconds",
        default: "20",
        help: "longest pause of a model server that a running job waits out; for longer ones it sleeps",
    },
    Key { name: "parser.memory_mb", default: "2048", help: "memory of a parser process, in MB" },
    Key { name: "parser.page_seconds", default: "30", help: "longest time on one page" },
    Key { name: "parser.cpu_seconds", default: "600", help: "longest computing time for one document" },
];

/// All settings with their environment variables, for `graphmill --help`.
pub(crate) fn help() -> String {
    let mut text =
        String::from("Settings (environment variable, default, what it is; the same names stand in graphmill.toml):\n");
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!(" [{}]", key.default) };
        text.push_str(&format!("  {:<32} {}{default}\n", layers::variable_of(key.name), key.help));
    }
    text
}

/// The checked settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// Where all data lies.
    pub(crate) data_dir: PathBuf,
    /// Names besides the address by which the API may be called.
    pub(crate) allowed_hosts: Vec<String>,
    /// Foreign web origins that may call.
    pub(crate) allowed_origins: Vec<String>,
    /// Certificate and key of the server; `None`: plain HTTP.
    pub(crate) tls: Option<TlsFiles>,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Connections at once of one address.
    pub(crate) connections_per_address: usize,
    /// How long a client may be silent.
    pub(crate) idle: Duration,
    /// How commands reach a server.
    pub(crate) client: ClientSettings,
    /// Largest uploaded file, in bytes.
    pub(crate) max_file_bytes: u64,
    /// Ingestions at once.
    pub(crate) workers: u32,
    /// Reindexes at once.
    pub(crate) reindex_workers: u32,
    /// Chunks whose similarities are one unit; by their size when `None`.
    pub(crate) reindex_block_rows: Option<u32>,
    /// Threads of the CPU pool.
    pub(crate) cpu_threads: usize,
    /// See [`graphmill_runtime::RuntimeConfig::stall_limit`].
    pub(crate) stall_limit: Duration,
    /// Size of the reserve file, in bytes.
    pub(crate) reserve_bytes: u64,
    /// Quiet time before upkeep of layers; `None` = off.
    pub(crate) auto_reindex: Option<Duration>,
    /// The server of the graph; `None`: the embedded graph of the data folder.
    pub(crate) graph: Option<Neo4jSettings>,
    /// Who we are at a server that is named without it.
    pub(crate) graph_login: GraphLogin,
    /// Which models.
    pub(crate) models: ModelSettings,
    /// Limits of parser processes.
    pub(crate) parser: graphmill_documents::child::ParserLimits,
}

/// User and password of a Neo4j server.
#[derive(Debug, Clone)]
pub(crate) struct GraphLogin {
    user: Option<String>,
    password: Option<Secret>,
}

impl GraphLogin {
    /// Both, if both are set.
    pub(crate) fn parts(&self) -> (Option<&str>, Option<&str>) {
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => (Some(user), Some(password.expose())),
            _ => (None, None),
        }
    }
}

/// Certificate and key, as PEM files.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// How commands reach a server.
#[derive(Clone, Default)]
pub(crate) struct ClientSettings {
    /// `https://host:port`; `None`: the server of the data folder.
    pub(crate) server: Option<String>,
    /// An authority that is trusted besides the system's.
    pub(crate) ca_cert: Option<PathBuf>,
    /// What is shown to the server.
    pub(crate) token: Option<String>,
    /// How long a server that went away is waited for.
    pub(crate) wait: Duration,
}

impl std::fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSettings").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Config {
    /// Checks what the layers say.
    pub(crate) fn from_layers(layers: &Layers) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let parser = graphmill_documents::child::ParserLimits {
            memory_bytes: layers.number("parser.memory_mb", 64..=1 << 20)? << 20,
            page: Duration::from_secs(layers.number("parser.page_seconds", 1..=86_400)?),
            cpu: Duration::from_secs(layers.number("parser.cpu_seconds", 1..=86_400)?),
            ..Default::default()
        };
        let concurrency = usize::try_from(layers.number("model_concurrency", 1..=1_000)?)?;
        Ok(Self {
            listen: listen_address(layers)?,
            data_dir: match layers.get("data_dir") {
                Some(dir) => PathBuf::from(dir),
                None => default_data_dir()?,
            },
            allowed_hosts: words(layers.get("allowed_hosts").unwrap_or_default()).map(str::to_owned).collect(),
            allowed_origins: layers.get("allowed_origin").map(origins).transpose()?.unwrap_or_default(),
            tls: tls_files(layers)?,
            connections: usize::try_from(layers.number("connections", 1..=1 << 20)?)?,
            connections_per_address: usize::try_from(layers.number("connections_per_address", 1..=1 << 20)?)?,
            idle: Duration::from_secs(layers.number("idle_seconds", 1..=3_600)?),
            client: client_settings(layers)?,
            max_file_bytes: layers.number("max_file_mb", 1..=1 << 20)? << 20,
            workers: u32::try_from(layers.number("workers", 1..=256)?)?,
            reindex_workers: u32::try_from(layers.number("reindex_workers", 1..=256)?)?,
            reindex_block_rows: match layers.get("reindex_block_rows") {
                Some(_) => Some(u32::try_from(layers.number("reindex_block_rows", 1..=65_536)?)?),
                None => None,
            },
            cpu_threads: match layers.get("cpu_threads") {
                Some(_) => usize::try_from(layers.number("cpu_threads", 1..=1_024)?)?,
                None => cores,
            },
            stall_limit: Duration::from_secs(layers.number("stall_seconds", 1..=86_400)?),
            reserve_bytes: layers.number("reserve_mb", 1..=1 << 20)? << 20,
            auto_reindex: quiet_time(layers)?,
            graph: graph_server(layers)?,
            graph_login: GraphLogin {
                user: layers.get("graph.user").map(str::to_owned),
                password: layers.get("graph.password").map(Secret::new),
            },
            models: ModelSettings {
                embedding: endpoint(layers, "embedding")?,
                llm: endpoint(layers, "llm")?,
                concurrency,
                longest_wait: Duration::from_secs(layers.number("model_wait_seconds", 0..=3_600)?),
                ..ModelSettings::default()
            },
            parser,
        })
    }
}

/// An address and port, or a name of this machine and a port.
fn listen_address(layers: &Layers) -> anyhow::Result<SocketAddr> {
    const FORM: &str = "an address and port such as 127.0.0.1:8000, or localhost:8000";
    let text = layers.get("listen").unwrap_or_default();
    let named = text.rsplit_once(':').filter(|(name, port)| {
        let of_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        name.contains(|c: char| c.is_ascii_alphabetic()) && name.chars().all(of_names) && port.parse::<u16>().is_ok()
    });
    let Some((name, _)) = named else { return layers.parse("listen", FORM) };
    let found: Vec<SocketAddr> = text.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    let source = layers.source("listen");
    match found.iter().find(|address| address.ip().is_loopback()) {
        Some(loopback) => Ok(*loopback),
        None if found.is_empty() => {
            bail!("listen (from {source}) is {text:?}; {name:?} is no name that this machine knows: give {FORM}")
        }
        None => bail!(
            "listen (from {source}) is {text:?}; {name:?} stands for {}, which other machines may reach: write that address itself if you mean it",
            found[0].ip()
        ),
    }
}

fn tls_files(layers: &Layers) -> anyhow::Result<Option<TlsFiles>> {
    match (layers.get("tls_cert"), layers.get("tls_key")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate: certificate.into(), key: key.into() })),
        (Some(_), None) => bail!("tls_cert is set and tls_key is not; give the key of the certificate with --tls-key"),
        (None, Some(_)) => bail!("tls_key is set and tls_cert is not; give the certificate of the key with --tls-cert"),
    }
}

fn client_settings(layers: &Layers) -> anyhow::Result<ClientSettings> {
    let server = layers.get("server").map(|text| text.trim_end_matches('/').to_owned());
    if let Some(server) = &server {
        let parsed = url::Url::parse(server).ok();
        let plain = parsed.is_some_and(|u| {
            matches!(u.scheme(), "http" | "https") && u.path() == "/" && u.query().is_none() && u.username().is_empty()
        });
        if !plain {
            bail!("server {server:?} is not the address of a server; write it as https://mill.example.org:8000");
        }
    }
    Ok(ClientSettings {
        server,
        ca_cert: layers.get("ca_cert").map(PathBuf::from),
        token: layers.get("token").map(str::to_owned),
        wait: Duration::from_secs(layers.number("server_wait_seconds", 0..=86_400)?),
    })
}

/// `off`, or a number with `s`, `m` or `h`.
fn quiet_time(layers: &Layers) -> anyhow::Result<Option<Duration>> {
    let text: String = layers.parse("auto_reindex", "a duration")?;
    if text == "off" {
        return Ok(None);
    }
    let units = [("s", 1), ("m", 60), ("h", 3_600)];
    let found =
        units.iter().find_map(|(unit, seconds)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*seconds));
    match found {
        Some(seconds @ 1..=2_592_000u64) => Ok(Some(Duration::from_secs(seconds))),
        _ => bail!("auto_reindex is {text:?}; it is off, or a time from 1s to 720h such as 30s, 5m or 2h"),
    }
}

/// The entries of a list separated by commas.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn origins(list: &str) -> anyhow::Result<Vec<String>> {
    words(list)
        .map(|origin| {
            let parsed = url::Url::parse(origin).ok().map(|u| u.origin().ascii_serialization());
            match parsed {
                Some(clean) if clean == origin => Ok(clean),
                _ => bail!(
                    "allowed_origin {origin:?} is not a web origin; write it as https://example.org, without a path"
                ),
            }
        })
        .collect()
}

fn graph_server(layers: &Layers) -> anyhow::Result<Option<Neo4jSettings>> {
    let (user, password) = (layers.get("graph.user"), layers.get("graph.password"));
    // Without a URL they may still be meant for `graph copy`.
    Ok(layers.get("graph.url").map(|url| Neo4jSettings::parse(url, user, password)).transpose()?)
}

fn endpoint(layers: &Layers, table: &str) -> anyhow::Result<Option<Endpoint>> {
    let value = |key: &str| layers.get(&format!("{table}.{key}")).map(str::to_owned);
    let Some(url) = value("url") else {
        if value("model").is_some() {
            bail!("{table}.model is set and {table}.url is not; set {table}.url to a server address that ends in /v1");
        }
        return Ok(None);
    };
    let parsed = url::Url::parse(&url).with_context(|| format!("{table}.url is not a web address"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        // Not shown: it holds a secret.
        bail!(
            "{table}.url must not hold a user name or password; put the key into {table}.api_key or {table}.api_key_file"
        );
    }
    let clean = url.trim_end_matches('/').to_owned();
    if !matches!(parsed.scheme(), "http" | "https") || !clean.ends_with("/v1") {
        bail!("{table}.url {url:?} must be an http or https address that ends in /v1");
    }
    let Some(model) = value("model") else {
        bail!("{table}.url is set and {table}.model is not; name the model to use there");
    };
    Ok(Some(Endpoint { url: clean, model, api_key: value("api_key").map(|key| Secret::new(&key)) }))
}

/// `graphmill` under the user's data folder (XDG base directory specification).
fn default_data_dir() -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    match (set("XDG_DATA_HOME"), set("HOME")) {
        (Some(data), _) if data.is_absolute() => Ok(data.join("graphmill")),
        (_, Some(home)) => Ok(home.join(".local/share/graphmill")),
        _ => bail!("there is no home folder to keep data in; set GRAPHMILL_DATA_DIR or --data-dir"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    fn load(vars: &[(&str, &str)]) -> anyhow::Result<Config> {
        let vars = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let home = [("GRAPHMILL_DATA_DIR".to_owned(), "data".to_owned())];
        Config::from_layers(&Layers::read(BTreeMap::new(), Some(Path::new("/dev/null")), home.into_iter().chain(vars))?)
    }

    #[test]
    fn defaults_need_nothing() {
        let config = load(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
        assert!(config.models.embedding.is_none());
    }

    #[test]
    fn names_of_this_machine_are_addresses() {
        let listen = |text| load(&[("GRAPHMILL_LISTEN", text)]).map(|config| config.listen);
        let local = listen("localhost:8123").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 8123, "{local}");
        let unknown = listen("no-such-name.invalid:8000").unwrap_err().to_string();
        assert!(unknown.contains("no-such-name.invalid") && unknown.contains("GRAPHMILL_LISTEN"), "{unknown}");
        for bad in ["localhost", "localhost:99999", ":8000", "some where:80"] {
            assert!(listen(bad).unwrap_err().to_string().contains("127.0.0.1:8000"), "{bad}");
        }
    }

    #[test]
    fn a_bad_value_is_named_with_its_source() {
        let error = load(&[("GRAPHMILL_WORKERS", "many")]).unwrap_err().to_string();
        assert!(error.contains("GRAPHMILL_WORKERS") && error.contains("many"), "{error}");
        let error =
            load(&[("GRAPHMILL_LLM_URL", "http://x/v2"), ("GRAPHMILL_LLM_MODEL", "m")]).unwrap_err().to_string();
        assert!(error.contains("/v1"), "{error}");
    }

    #[test]
    fn upkeep_has_a_time_or_is_off() {
        let quiet = |value: &str| load(&[("GRAPHMILL_AUTO_REINDEX", value)]).map(|config| config.auto_reindex);
        assert_eq!(load(&[]).unwrap().auto_reindex, Some(Duration::from_secs(300)));
        assert_eq!(quiet("off").unwrap(), None);
        assert_eq!(quiet("90s").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(quiet("2h").unwrap(), Some(Duration::from_secs(7_200)));
        for wrong in ["5", "0s", "-1m", "1000h", "never", "99999999999999999999h"] {
            assert!(quiet(wrong).unwrap_err().to_string().contains("off, or a time"), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = load(&[("GRAPHMILL_LISTN", "x")]).unwrap_err().to_string();
        assert!(error.contains("GRAPHMILL_LISTEN"), "{error}");
    }
}

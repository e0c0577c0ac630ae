//! The real binary in a test: started on a free port over its own data folder, killed, started again, asked over HTTP.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::neo4j::shared::{self, SharedNeo4j};

/// The setting that puts a graph on a server.
const GRAPH_URL: &str = "GRAPHMILL_GRAPH_URL";

/// Longest time that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server process and its data folder. The process is killed when this is dropped; the folder goes when it is a temporary one.
pub struct TestApp {
    settings: AppSettings,
    child: Option<Child>,
    url: String,
    http: reqwest::Client,
    /// From the spawn of the process to its word "ready".
    pub start_time: Duration,
    /// Standard error of the process; beside the folder, so that a read-only or full folder can be tested.
    log: tempfile::NamedTempFile,
    /// The graph's server, when the tests of the product run on one.
    _graph: Option<SharedNeo4j>,
    _own_dir: Option<tempfile::TempDir>,
}

/// How the process is started.
#[derive(Debug, Clone)]
pub struct AppSettings {
    binary: PathBuf,
    data_dir: PathBuf,
    args: Vec<String>,
    listen: String,
    environment: Vec<(String, String)>,
}

impl AppSettings {
    /// The binary over a data folder.
    pub fn new(binary: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        let (args, environment) = (Vec::new(), Vec::new());
        Self { binary: binary.into(), data_dir: data_dir.into(), args, listen: "127.0.0.1:0".to_owned(), environment }
    }

    /// An environment variable of the process.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// An argument after `serve`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Where it listens; a free port of 127.0.0.1 unless this says otherwise.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A command of the same binary over the same folder, for the CLI; its environment holds no other setting of ours.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GRAPHMILL_")) {
            command.env_remove(name);
        }
        command.arg("--data-dir").arg(&self.data_dir).args(args).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// With `GRAPHMILL_TEST_GRAPH=neo4j` every server that names no graph of its own gets an empty Neo4j: the same tests, another backend.
async fn on_test_graph(settings: AppSettings) -> anyhow::Result<(AppSettings, Option<SharedNeo4j>)> {
    let wanted = std::env::var("GRAPHMILL_TEST_GRAPH").unwrap_or_default();
    let has_one = settings.environment.iter().any(|(name, _)| name == GRAPH_URL);
    match wanted.as_str() {
        "" | "embedded" => Ok((settings, None)),
        "neo4j" if has_one => Ok((settings, None)),
        "neo4j" => {
            let graph = tokio::task::spawn_blocking(shared::database).await??;
            Ok((settings.env(GRAPH_URL, graph.url()), Some(graph)))
        }
        other => bail!("GRAPHMILL_TEST_GRAPH is {other:?}; it is embedded or neo4j"),
    }
}

impl TestApp {
    /// Starts the binary over a temporary folder.
    pub async fn start(binary: impl Into<PathBuf>) -> anyhow::Result<Self> {
        Self::start_with(binary, |settings| settings).await
    }

    /// Starts the binary over a temporary folder, with settings.
    pub async fn start_with(
        binary: impl Into<PathBuf>,
        change: impl FnOnce(AppSettings) -> AppSettings,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut app = Self::launch(change(AppSettings::new(binary, dir.path()))).await?;
        app._own_dir = Some(dir);
        Ok(app)
    }

    /// Starts the process; its folder stays when this is dropped.
    pub async fn launch(settings: AppSettings) -> anyhow::Result<Self> {
        crate::install_tls();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let log = tempfile::NamedTempFile::new()?;
        let (url, start_time) = (String::new(), Duration::ZERO);
        let (settings, graph) = on_test_graph(settings).await?;
        let mut app = Self { settings, child: None, url, http, start_time, log, _graph: graph, _own_dir: None };
        app.spawn().await?;
        Ok(app)
    }

    async fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = self.settings.command(&["serve", "--listen", &self.settings.listen]);
        command.args(&self.settings.args);
        let log = std::fs::OpenOptions::new().append(true).open(self.log.path())?;
        command.stderr(log);
        let started = Instant::now();
        let mut child =
            command.spawn().with_context(|| format!("{} cannot be started", self.settings.binary.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.split(" is ready at ").nth(1) {
                    return anyhow::Ok(Some(url.to_owned()));
                }
            }
            Ok(None)
        });
        match ready.await.context("the server did not become ready")?? {
            Some(url) => self.url = url,
            None => bail!("the server ended before it was ready: {}", self.log_tail()),
        }
        self.start_time = started.elapsed();
        // Whatever else it prints must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.child = Some(child);
        Ok(())
    }

    /// Everything that the process wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        self.log().lines().rev().take(5).collect::<Vec<_>>().join(" | ")
    }

    /// How it was started.
    pub fn settings(&self) -> &AppSettings {
        &self.settings
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The HTTP client.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// All requests from now on show this key.
    ///
    /// # Panics
    /// It has not the shape of one.
    pub fn use_token(&mut self, token: &str) {
        let value = format!("Bearer {token}").parse().expect("a token is a header's value");
        let headers = [(reqwest::header::AUTHORIZATION, value)].into_iter().collect();
        let built = reqwest::Client::builder().no_proxy().default_headers(headers).build();
        self.http = built.expect("a client was built before");
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// SIGKILL, and waits until the process is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Waits until the process ends by itself (a fault point killed it).
    pub async fn wait_gone(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            let gone = tokio::time::timeout(PATIENCE, child.wait()).await;
            gone.context("the fault point was not reached: the process still runs")??;
        }
        Ok(())
    }

    /// Starts the process again over the same folder; `change` may arm other fault points.
    pub async fn restart(&mut self, change: impl FnOnce(AppSettings) -> AppSettings) -> anyhow::Result<()> {
        self.kill().await?;
        self.settings = change(self.settings.clone());
        self.spawn().await
    }

    /// Starts it again without any fault point.
    pub async fn restart_quiet(&mut self) -> anyhow::Result<()> {
        self.restart(|mut settings| {
            settings.environment.retain(|(name, _)| name != "FAILPOINTS");
            settings
        })
        .await
    }

    /// GET: status and body.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        answer(self.http.get(format!("{}{path}", self.url))).await
    }

    /// POST without a body.
    pub async fn post(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        answer(self.http.post(format!("{}{path}", self.url))).await
    }

    /// POST of JSON.
    pub async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        answer(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// PATCH of JSON.
    pub async fn patch_json(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        answer(self.http.patch(format!("{}{path}", self.url)).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        answer(self.http.delete(format!("{}{path}", self.url))).await
    }

    /// Uploads one file with fields.
    pub async fn upload(
        &self,
        name: &str,
        content: impl Into<Vec<u8>>,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<(u16, Value)> {
        let mut form = reqwest::multipart::Form::new();
        for (key, value) in fields {
            form = form.text((*key).to_owned(), (*value).to_owned());
        }
        let part = reqwest::multipart::Part::bytes(content.into()).file_name(name.to_owned());
        answer(self.http.post(format!("{}/api/upload", self.url)).multipart(form.part("file", part))).await
    }

    /// Uploads one file that must be accepted; answers its job id.
    pub async fn upload_job(
        &self,
        name: &str,
        content: impl Into<Vec<u8>>,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let (status, body) = self.upload(name, content, fields).await?;
        match body["job_id"].as_str() {
            Some(job) if status == 202 => Ok(job.to_owned()),
            _ => bail!("the upload of {name} was answered with {status} {body}"),
        }
    }

    /// Waits until the job is in an ended state; answers its page.
    pub async fn wait_ended(&self, job: &str) -> anyhow::Result<Value> {
        self.wait_job(job, |page| matches!(page["status"].as_str(), Some("completed" | "failed" | "cancelled"))).await
    }

    /// Waits until the job's page is as wanted.
    pub async fn wait_job(&self, job: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, page) = self.get(&format!("/api/jobs/{job}")).await?;
            if status == 200 && wanted(&page) {
                return Ok(page);
            }
            if Instant::now() > deadline {
                bail!("the job is not as wanted after {PATIENCE:?}: {status} {page}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The canonical export of a collection.
    pub async fn export(&self, collection: &str) -> anyhow::Result<String> {
        let url = format!("{}/api/graph/export?collection={collection}", self.url);
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// `ws://…` address of a path.
    pub fn socket(&self, path: &str) -> String {
        format!("{}{path}", self.url.replacen("http", "ws", 1))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<(u16, Value)> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let body =
        serde_json::from_str(&text).with_context(|| format!("HTTP {status} with a body that is not JSON: {text:?}"))?;
    Ok((status, body))
}

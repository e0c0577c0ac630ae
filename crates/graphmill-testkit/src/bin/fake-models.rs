//! The fake model server as a program. It prints its address as the first line of standard output, then serves until it is killed.
//!
//! `fake-models --listen 127.0.0.1:0 --latency-ms 20 --embedding-dim 32 --fail-rate 0.1 --seed 7 --script 429,none,hang --retry-after 1`

use anyhow::{Context, bail};
use graphmill_testkit::fake_models::{FakeConfig, FakeModels};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = FakeModels::start(config(std::env::args().skip(1))?).await.context("no server could be started")?;
    println!("{}", server.url());
    server.wait().await;
    Ok(())
}

fn config(mut args: impl Iterator<Item = String>) -> anyhow::Result<FakeConfig> {
    let mut config = FakeConfig::default();
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} has no value"))?;
        let wrong = || format!("{value:?} is no value of {name}");
        let mode = &mut config.mode;
        match name.as_str() {
            "--listen" => config.listen = Some(value.parse().with_context(wrong)?),
            "--latency-ms" => mode.latency_ms = value.parse().with_context(wrong)?,
            "--embedding-dim" => mode.embedding_dim = value.parse().with_context(wrong)?,
            "--fail-rate" => mode.fail_rate = value.parse().with_context(wrong)?,
            "--seed" => mode.seed = value.parse().with_context(wrong)?,
            "--script" => mode.script = faults(&value)?,
            "--faults" => mode.faults = faults(&value)?,
            "--retry-after" => mode.retry_after = value,
            "--api-key" => mode.api_key = value,
            _ => bail!(
                "{name:?} is not known; use --listen, --latency-ms, --embedding-dim, --fail-rate, --seed, --script, --faults, \
                 --retry-after, --api-key"
            ),
        }
    }
    Ok(config)
}

fn faults(list: &str) -> anyhow::Result<Vec<graphmill_testkit::fake_models::Fault>> {
    list.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().map_err(anyhow::Error::msg)).collect()
}

//! The Java process that servers run in.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use super::{Neo4jSettings, installation};

/// C1 alone and the serial collector halve the time to ready on two cores (9.3 s to 4.6 s, measured); a test runs for seconds.
const FLAGS: [&str; 6] = [
    "-Xmx1g",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
];

/// A Java process; killed when this is dropped, and by itself when its standard input closes, which the end of this process does.
pub(super) struct JavaProcess {
    child: Child,
    /// `None` once closed.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: tempfile::NamedTempFile,
}

impl JavaProcess {
    pub(super) fn spawn(password: Option<&str>) -> anyhow::Result<Self> {
        let installation = installation()?;
        let log = tempfile::NamedTempFile::new()?;
        let mut command = Command::new("java");
        let classes = format!("{0}/classes:{0}/jars/*", installation.display());
        command.args(FLAGS).arg("-cp").arg(classes).arg("GraphmillTestNeo4j");
        command.env("GRAPHMILL_TEST_NEO4J_PASSWORD", password.unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.reopen()?);
        let mut child = command.spawn().context("java cannot be started; the tests need a JDK 17 or 21")?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, commands, answers, log })
    }

    /// Opens one more server over a folder, or over one that goes with the process; answers its port, a free one for 0.
    pub(super) fn open(&mut self, port: u16, settings: &Neo4jSettings, home: Option<&Path>) -> anyhow::Result<u16> {
        let auth = settings.password.is_some();
        let line = format!("open {port} {auth} {} {}", settings.read_only, home.unwrap_or(Path::new("-")).display());
        self.send(&line).with_context(|| format!("the Java process ended: {}", self.log()))?;
        let mut answer = String::new();
        loop {
            answer.clear();
            if self.answers.read_line(&mut answer)? == 0 {
                bail!("Neo4j ended before it was ready: {}", self.log());
            }
            if let Some(port) = answer.strip_prefix("ready ") {
                return Ok(port.trim().parse()?);
            }
            if let Some(why) = answer.strip_prefix("failed ") {
                bail!("Neo4j cannot start: {}; its log: {}", why.trim(), self.log());
            }
        }
    }

    fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let commands = self.commands.as_mut().context("its standard input is closed")?;
        writeln!(commands, "{line}")?;
        Ok(commands.flush()?)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    pub(super) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        anyhow::ensure!(status.success(), "kill -{name} {} ended with {status}", self.child.id());
        Ok(())
    }

    /// Ends it in order.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.send("stop")?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "Neo4j ended with {status}: {}", self.log());
        Ok(())
    }
}

impl Drop for JavaProcess {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process. An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_with_its_standard_input() {
        let mut process = JavaProcess::spawn(None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        process.open(0, &Neo4jSettings::default(), Some(folder.path())).unwrap();
        assert!(folder.path().join("data").exists(), "the folder is not used");
        // What the kernel does when the test process is killed.
        process.commands = None;
        assert!(process.child.wait().unwrap().success());
    }
}

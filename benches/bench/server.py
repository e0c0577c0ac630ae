"""The release binary as a server on a free loopback port over a folder of its own."""

import os
import pathlib
import queue
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def cargo_build(*arguments):
    """Builds in release and answers the folder of what was built."""
    subprocess.run(["cargo", "build", "--release", "--quiet", *arguments], cwd=ROOT, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


class Server:
    """`graphmill serve`; stopped and waited for at the end of the `with` block."""

    READY_SECONDS = 60

    def __init__(self, binary, data_dir, environment=None):
        self._log = tempfile.TemporaryFile()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHMILL_")}
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [binary, "serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=self._log, stdin=subprocess.DEVNULL, text=True, env=kept | (environment or {}),
            cwd=data_dir,  # a graphmill.toml of the checkout is not ours
        )
        self.pid = self._process.pid
        self.url = self._wait_ready()
        self.ready_seconds = time.perf_counter() - begun
        self.address = self.url.removeprefix("http://")

    def _wait_ready(self):
        lines = queue.Queue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        deadline = time.monotonic() + self.READY_SECONDS
        while True:
            try:
                line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.stop()
                raise RuntimeError(f"the server did not become ready: {self.log()[-2000:]}")
            if " is ready at " in line:
                return line.strip().rpartition(" is ready at ")[2]

    def _read(self, lines):
        for line in self._process.stdout:
            lines.put(line)
        lines.put(None)

    def log(self):
        """What the server wrote to standard error."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self):
        """SIGTERM, then SIGKILL when it does not end."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

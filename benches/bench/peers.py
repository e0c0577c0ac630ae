"""The Python environment of the peers, apart from everything else: CACHE_DIR/bench/peers."""

import pathlib
import subprocess
import sys

# Fixed, so that figures can be compared later.
PACKAGES = ["igraph==1.0.0", "leidenalg==0.12.0", "faiss-cpu==1.15.1", "numpy==2.4.6"]


def peers_python(cache):
    """The interpreter of the environment, which is made when it is missing or holds other versions."""
    folder = pathlib.Path(cache) / "bench" / "peers"
    python, done = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(PACKAGES)
    if not (done.exists() and done.read_text() == wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.write_text(wanted)
    return python

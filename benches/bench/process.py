"""What a process and its children used: CPU seconds and memory, from /proc."""

import os
import pathlib
import threading

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.extend(int(child) for child in task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread or process ended meanwhile
    return found


def family(pid):
    """The process and its living descendants."""
    members = [pid]
    for member in members:
        members.extend(_children(member))
    return members


def cpu_seconds(pid):
    """User and system time of the process, of the children that it has waited for, and of those that live."""
    ticks = 0
    for member in family(pid):
        try:
            # After the name, which may hold spaces: the state is field 3; utime to cstime are fields 14 to 17.
            fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def resident_bytes(pid):
    """Resident memory of one process now; 0 when it is gone."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def peak_bytes(pid):
    """Highest resident memory of one process in its life (VmHWM)."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} tells no VmHWM")


class MemoryWatch:
    """Samples the resident memory of a process with its children, and keeps the highest sum.

    Pages that they share (the program itself) count once for each, so that the figure errs upwards.
    """

    INTERVAL_SECONDS = 0.02

    def __init__(self, pid):
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = 0
        self.children_peak = 0

    def _run(self):
        while not self._stop.wait(self.INTERVAL_SECONDS):
            sizes = [resident_bytes(member) for member in family(self._pid)]
            self.peak = max(self.peak, sum(sizes))
            self.children_peak = max(self.children_peak, sum(sizes[1:]))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

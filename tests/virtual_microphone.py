"""A microphone made of PulseAudio: what is played into it, PortAudio records."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SR = 48_000  # of the virtual device
_MODULES = (
    "module-native-protocol-unix auth-anonymous=1 socket={socket}",
    f"module-null-sink sink_name=speaker rate={SR} channels=1 format=float32le",
)


@dataclass(frozen=True)
class VirtualMicrophone:
    """A running PulseAudio whose default source hears what is played to its sink."""

    server: subprocess.Popen[bytes]
    environment: dict[str, str]

    def play(self, path: Path) -> None:
        """Play a sound file, and return when it has been played."""
        command = ["paplay", "--device=speaker", str(path)]
        subprocess.run(command, env=self.environment, check=True, timeout=120)

    def unplug(self) -> None:
        """Take the microphone away, as when a cable is pulled."""
        self.server.kill()
        self.server.wait()


def missing() -> str:
    """Say what this machine lacks for a virtual microphone; empty if nothing."""
    programs = [name for name in ("pulseaudio", "pactl", "paplay") if not shutil.which(name)]
    if programs:
        return f"{', '.join(programs)} not installed (Debian: pulseaudio, pulseaudio-utils)"
    if importlib.util.find_spec("sounddevice") is None:
        return "sounddevice is not installed (pip install -e '.[live]')"
    if not _ask_portaudio(os.environ):
        return "PortAudio is not installed (Debian: libportaudio2)"
    with running() as microphone:
        if "'max_input_channels': 0" in _ask_portaudio(microphone.environment):
            return "PortAudio does not hear PulseAudio (Debian: libasound2-plugins)"
    return ""


def _ask_portaudio(environment: Mapping[str, str]) -> str:
    """Return its default device, in a process of its own: it looks for devices only once."""
    code = """
import sounddevice
devices = sounddevice.query_devices()
print([each for each in devices if each["max_input_channels"]] or {"max_input_channels": 0})
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=False
    )
    return done.stdout


@contextlib.contextmanager
def running() -> Iterator[VirtualMicrophone]:
    """Start a PulseAudio of its own, which shares nothing with the user's."""
    with tempfile.TemporaryDirectory() as folder:  # short: the name of a socket must be
        place = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "PULSE_STATE_PATH"), folder)
        place |= {"PULSE_RUNTIME_PATH": folder, "PULSE_SERVER": f"unix:{folder}/socket"}
        environment = os.environ | place
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"]
        command += ["--exit-idle-time=-1", "--log-level=error"]
        for module in _MODULES:
            command += ["-L", module.format(socket=f"{folder}/socket")]
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            _wait(environment)
            yield VirtualMicrophone(server, environment)
        finally:
            server.kill()
            server.wait()


def _wait(environment: dict[str, str]) -> None:
    """Wait until the server answers, and let its microphone hear its speaker."""
    command = ["pactl", "set-default-source", "speaker.monitor"]
    for _ in range(100):
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"PulseAudio does not answer: {done.stderr.decode()}")

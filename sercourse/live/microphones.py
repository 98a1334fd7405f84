"""The microphones of the machine that runs Python, and what helps where there is none."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from types import ModuleType

_ELSEWHERE = "or use a sound file as the source, or the recorder in the browser"

_INSTALLERS = {  # of Linux: the program, and what it calls PortAudio
    "apt": "sudo apt install libportaudio2",
    "dnf": "sudo dnf install portaudio",
    "pacman": "sudo pacman -S portaudio",
    "zypper": "sudo zypper install libportaudio2",
    "apk": "sudo apk add portaudio",
}
_REINSTALL = "python -m pip install --force-reinstall sounddevice"  # its wheels hold PortAudio


@dataclass(frozen=True)
class Device:
    """A device that sound can be recorded from.

    Attributes
    ----------
    index : int
        Its number, which may change when devices are plugged in or out.
    name : str
    channels : int
    sample_rate : int
        Its own rate [Hz].
    default : bool
        Whether it is the one that is used when none is named.
    """

    index: int
    name: str
    channels: int
    sample_rate: int
    default: bool


def portaudio() -> ModuleType:
    """Return the module `sounddevice`, with PortAudio behind it.

    Raises
    ------
    ModuleNotFoundError
        If sounddevice is not installed.
    OSError
        If PortAudio is not; the sentence says how this system installs it.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        if error.name != "sounddevice":
            raise
        raise ModuleNotFoundError(
            "a microphone needs sounddevice, which is not installed: install it with "
            f"pip install -e '.[live]', {_ELSEWHERE}",
            name="sounddevice",
        ) from None
    except OSError:  # that is how it says that there is no PortAudio
        raise OSError(
            f"a microphone needs the library PortAudio, which is not installed: {_how_to_get_it()}"
        ) from None
    return sounddevice


def devices() -> tuple[Device, ...]:
    """Return the devices that sound can be recorded from, as PortAudio lists them.

    One that was plugged in after the first look shows only in a new process.

    Raises
    ------
    ModuleNotFoundError, OSError
        If sounddevice or PortAudio is not installed.
    """
    sounddevice = portaudio()
    default = sounddevice.default.device[0]
    return tuple(
        Device(
            index,
            known["name"],
            known["max_input_channels"],
            round(known["default_samplerate"]),
            index == default,
        )
        for index, known in enumerate(sounddevice.query_devices())
        if known["max_input_channels"] > 0
    )


def find(device: int | str | None = None) -> Device:
    """Return a device by its number or a part of its name; the default one for None.

    Raises
    ------
    LookupError
        If there is none, or several have that name.
    OSError
        If the machine has no microphone at all.
    """
    known = devices()
    if not known:
        raise OSError(f"the machine that runs Python has no microphone: {how_to_connect()}")
    if device is None:
        return next((each for each in known if each.default), known[0])
    fitting = _fitting(device, known)
    if len(fitting) != 1:
        listed = ", ".join(f"{each.index} ({each.name})" for each in fitting or known)
        how_many = "several microphones have" if fitting else "no microphone has"
        raise LookupError(f"{how_many} the number or name {device!r}: choose among {listed}")
    return fitting[0]


def _fitting(device: int | str, known: tuple[Device, ...]) -> list[Device]:
    """Return the devices of that number, of exactly that name, or else with it in their names."""
    wanted = str(device).lower()
    exact = [each for each in known if wanted in (str(each.index), each.name.lower())]
    if exact or wanted.isdigit():
        return exact
    return [each for each in known if wanted in each.name.lower()]


def _how_to_get_it() -> str:
    """Say how this system installs PortAudio."""
    system = platform.system()
    if system == "Linux":
        found = [how for program, how in _INSTALLERS.items() if shutil.which(program)]
        install = found[0] if found else "install it from your system's packages"
    elif system == "Darwin" and shutil.which("brew"):
        install = "brew install portaudio"
    else:
        install = f"{_REINSTALL} brings it along"
    return f"{install}, {_ELSEWHERE}"


def how_to_connect() -> str:
    """Say what helps where no microphone is found."""
    remedies = {
        "Linux": "connect one and see that arecord -l or pactl list short sources names it; a "
        "container or a remote machine has none",
        "Darwin": "connect one and choose it in System Settings, Sound, Input",
        "Windows": "connect one and choose it in Settings, System, Sound, Input",
    }
    return f"{remedies.get(platform.system(), 'connect one')}; {_ELSEWHERE.removeprefix('or ')}"


def how_to_unmute() -> str:
    """Say what helps where a microphone gives nothing but zeros."""
    remedies = {
        "Linux": "unmute it and raise its level in the sound settings, with pavucontrol or "
        "alsamixer",
        "Darwin": "unmute it, and let this terminal use it in System Settings, Privacy & Security, "
        "Microphone",
        "Windows": "unmute it, and let desktop apps use it in Settings, Privacy & security, "
        "Microphone",
    }
    return remedies.get(platform.system(), "unmute it and raise its level")

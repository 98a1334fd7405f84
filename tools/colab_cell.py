import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

if "google.colab" in sys.modules:  # elsewhere there is nothing to do
    course = Path("/content/sercourse")
    if not (course / "pyproject.toml").exists():
        source = "https://github.com/sercourse/sercourse"
        subprocess.run(["git", "clone", "-q", "--depth", "1", source, str(course)], check=True)
    needed = ("jupyterquiz", "onnxruntime", "skl2onnx", "tf2onnx")
    if not all(importlib.util.find_spec(name) for name in needed):
        keep = f"protobuf=={importlib.metadata.version('protobuf')}"  # much of Colab needs its own
        install = [sys.executable, "-m", "pip", "install", "-q", keep]
        subprocess.run([*install, "-e", f"{course}[colab,networks]"], check=True)
        importlib.invalidate_caches()
    sys.path.insert(0, str(course))

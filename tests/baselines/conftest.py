import pytest


@pytest.fixture(autouse=True)
def own_log_folder(monkeypatch, tmp_path):
    """Stable-Baselines3 otherwise leaves a folder in the system's temporary one for every model."""
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path / "sb3"))

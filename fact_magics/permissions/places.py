"""Places in the file system that are dangerous to grant: they hold secrets, or files that are executed.

Every path in this module is absolute and real. Places that belong in a home directory are recognised below
any directory, because a path may lead into another person's home, a container's home, or a copy of a home.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ENTRIES_LOOKED_AT = 5_000


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _parts(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(place.split("/")) for place in text.split())


# Directories and files that hold credentials or the history of typed commands. Each place is written as
# consecutive parts of a path.
_KEY_PLACES = _parts("""
    .anthropic .aws .azure .claude .codex .databricks .docker .gnupg .huggingface .ipython .jupyter .kaggle
    .kube .mozilla .oci .openai .password-store .snowflake .ssh .terraform.d .thunderbird
    .cache/huggingface/token .cargo/credentials.toml .config/anthropic .config/BraveSoftware .config/chromium
    .config/containers .config/doctl .config/gcloud .config/gh .config/git .config/glab-cli
    .config/google-chrome .config/hub .config/op .config/rclone .local/share/jupyter/runtime
    .local/share/keyrings
""")
_KEY_NAMES = _words("""
    .ICEauthority .Xauthority .bash_history .boto .databrickscfg .dockercfg .env .envrc .git-credentials
    .htpasswd .my.cnf .mylogin.cnf .mysql_history .netrc .node_repl_history .npmrc .pgpass .psql_history
    .pypirc .python_history .s3cfg .sh_history .sqlite_history .vault-token .yarnrc.yml .zsh_history _netrc
    client_secret.json credentials credentials.json credentials.toml credentials.yaml credentials.yml
    id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk id_rsa kubeconfig secret.json secrets.json
    secrets.toml secrets.yaml secrets.yml service-account.json service_account.json terraform.tfstate
    token.json wallet.dat
""")
_KEY_ENDINGS = _words(".env .jks .kdbx .key .keystore .keytab .ovpn .p12 .pem .pfx .ppk")
_KEY_DIRECTORIES = (".aws", ".gnupg", ".kube", ".ssh")
_TEMPLATE_ENDINGS = (".example", ".sample", ".template", ".dist", ".defaults")
_SYSTEM_KEYS = _words("""
    /etc/NetworkManager/system-connections /etc/docker /etc/gshadow /etc/gshadow- /etc/krb5.keytab
    /etc/kubernetes /etc/letsencrypt /etc/openvpn /etc/pki/tls/private /etc/shadow /etc/shadow- /etc/ssh
    /etc/ssl/private /etc/sudoers /etc/sudoers.d /etc/wireguard /etc/wpa_supplicant /run/credentials
    /run/secrets /run/user /var/backups /var/lib/docker /var/lib/kubelet /var/mail
""")
_HOMES_OF_ALL = {Path("/home"), Path("/Users"), Path("/var/home")}

# Places with files that shells, editors, Python, Jupyter, git and the desktop run automatically.
_STARTUP_PLACES = _parts("""
    .conda .emacs.d .git .hg .ipython .jupyter .pip .ssh .vim .vscode __pycache__ dist-packages
    site-packages .config/autostart .config/environment.d .config/fish .config/git .config/nvim .config/pip
    .config/systemd .local/bin .local/lib .local/share/applications .local/share/fish .local/share/jupyter
    .local/share/systemd
""")
_STARTUP_NAMES = _words("""
    .Renviron .Rprofile .bash_aliases .bash_login .bash_logout .bash_profile .bashrc .condarc .cshrc .emacs
    .env .envrc .exrc .gdbinit .gitconfig .gvimrc .inputrc .kshrc .login .npmrc .pam_environment .pdbrc
    .profile .pythonrc .pythonstartup .screenrc .tcshrc .tmux.conf .vimrc .xinitrc .xprofile .xsession
    .pre-commit-config.yaml .xsessionrc .zlogin .zlogout .zprofile .zshenv .zshrc Dockerfile Jenkinsfile
    Makefile package.json pyproject.toml pyvenv.cfg setup.cfg tox.ini
""")
_CODE_ENDINGS = _words("""
    .bash .bat .cmd .desktop .dll .dylib .exe .fish .ipynb .pth .ps1 .py .pyc .pyd .pyw .service .sh .so .zsh
""")
_SYSTEM_CODE = _words("""
    /bin /boot /etc /lib /lib32 /lib64 /nix /opt /run /sbin /snap /usr /var/lib /var/spool
""")
_PREFIX_PARTS = ("bin", "etc", "include", "lib", "lib64", "Lib", "pyvenv.cfg", "Scripts", "share")
_STARTUP_VARIABLES = (
    "BASH_ENV", "ENV", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_DATA_DIR",
    "JUPYTER_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "XDG_CONFIG_HOME",
)  # fmt: skip

_KERNELS_OWN = {
    "/proc": "it shows the memory and settings of other processes",
    "/sys": "it belongs to the kernel",
}
_RAW_MEMORY = (Path("/dev/mem"), Path("/dev/kmem"), Path("/dev/port"), Path("/dev/kmsg"))
# Directories of a project that contain files which programs run.
_RUN_BELOW = (
    ".devcontainer", ".git", ".github", ".hg", ".idea", ".tox", ".venv", ".vscode", "node_modules", "venv"
)  # fmt: skip
_SCRATCH = "it contains the scratch files of other calls"
_SCRATCH_PREFIX = "fact_magics-"


def is_possible(path: str) -> bool:
    """Return whether a path can exist: it contains no NUL, and can be encoded."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def working_directory() -> Path:
    """Return the present working directory; raises `CellError` if it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise CellError(
            "The working directory was deleted, so relative paths lead nowhere.",
            hint="Change to a directory that exists, with %cd.",
        ) from None


def real(path: str | Path) -> Path:
    """Resolve every link in a path; parts that don't exist stay as they are."""
    return Path(os.path.realpath(path))


def overlap(path: Path, place: Path) -> bool:
    """Return whether two paths are equal, or one is inside the other."""
    return path.is_relative_to(place) or place.is_relative_to(path)


def missing(path: Path) -> str:
    """Return the problem of a path that does not exist or can't be examined; empty if there is none."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} does not exist"
    except OSError as error:
        return f"{path} can't be examined ({(error.strerror or str(error)).lower()})"
    return ""


def untouchable(path: Path, *, writes: bool) -> str:
    """Return why a place is never granted; empty if it may be granted."""
    for place, reason in _KERNELS_OWN.items():
        if path.is_relative_to(place):
            return reason
    temporary = real(tempfile.gettempdir())
    below = path.relative_to(temporary).parts if path.is_relative_to(temporary) else ()
    if (writes and temporary.is_relative_to(path)) or (below and below[0].startswith(_SCRATCH_PREFIX)):
        return _SCRATCH
    if path == Path("/dev") or path in _RAW_MEMORY:
        return "it is this machine's memory and devices"
    mode = _mode(path)
    if stat.S_ISBLK(mode):
        return "it is a whole disk"
    return "it is a socket, through which the tool could use a server" if stat.S_ISSOCK(mode) else ""


def secret(path: Path) -> str:
    """Return why reading a path may reveal secrets; empty if no reason is known."""
    if path == Path(path.anchor):
        return "it is everything on this machine"
    if {path, path.parent} & _HOMES_OF_ALL or any(home.is_relative_to(path) for home in _homes()):
        return "it is a whole home directory, with the keys and passwords in it"
    if found := _named(path, _KEY_PLACES) or _at(path, _SYSTEM_KEYS):
        return f"{found} holds keys, passwords or the commands that you typed"
    found = path.name if _is_secret(path.name) else ""
    if found := found or _first_child(path, lambda name: name in _KEY_DIRECTORIES or _is_secret(name)):
        return f"{found} probably holds keys or passwords"
    shared_memory = Path("/dev/shm")  # noqa: S108 - nothing is made there
    if path == shared_memory:
        return "other programs share their memory there"
    if path.is_relative_to("/dev") and not path.is_relative_to(shared_memory):
        return "it is a device"
    if real(tempfile.gettempdir()).is_relative_to(path):
        return _SCRATCH
    return "it holds the keys of running kernels" if _at(path, _listed("JUPYTER_RUNTIME_DIR")) else ""


def executed(path: Path, directory: Path) -> str:
    """Return why files at a path may be executed, or an empty text; `directory` is the notebook's."""
    if found := _named(path, _STARTUP_PLACES):
        return f"your programs run the files in {found}"
    if path.name in _STARTUP_NAMES or _is_code(path.name) or _is_program(path):
        return f"{path.name} is run, or tells programs what to run"
    # A directory below an import directory is usually for data; the last check finds one with modules.
    if any(real(entry).is_relative_to(path) for entry in (str(directory), *sys.path)):
        return "this notebook imports modules from there"
    if found := _at(path, (*_program_places(), *_SYSTEM_CODE)):
        return f"programs are run from {found}"
    found = _first_child(path, lambda name: name in _RUN_BELOW or name in _STARTUP_NAMES or _is_code(name))
    return f"it contains {found}, which is run or tells programs what to run" if found else ""


def _homes() -> set[Path]:
    found = {os.path.expandvars("$HOME"), "/root"}
    try:
        import pwd

        found.add(pwd.getpwuid(os.getuid()).pw_dir)
    except (ImportError, KeyError, AttributeError):  # not a POSIX system, or a user without an entry
        found.add(str(Path.home()))
    return {real(home) for home in found if Path(home).is_absolute() and Path(home) != Path("/")}


def _named(path: Path, places: tuple[tuple[str, ...], ...]) -> str:
    """Return the first place, at any depth, that contains the path or may be inside it."""
    parts = path.parts
    for run in places:
        size = len(run)
        inside = any(parts[start : start + size] == run for start in range(len(parts) - size + 1))
        if inside or any(parts[-cut:] == run[:cut] for cut in range(1, size)):
            return "/".join(run)
    return ""


def _at(path: Path, places: Iterable[str]) -> str:
    above = {path, *path.parents}
    for place in places:
        itself, around = _lineage(place)
        if itself in above or path in around:
            return place
    return ""


@lru_cache(maxsize=256)
def _lineage(place: str) -> tuple[Path, frozenset[Path]]:
    """Resolve a place only once, because a single run may receive thousands of files."""
    itself = real(place)
    return itself, frozenset(itself.parents)


def _is_secret(name: str) -> bool:
    if name.endswith(_TEMPLATE_ENDINGS):
        return False
    return name in _KEY_NAMES or name.startswith(".env.") or Path(name).suffix.lower() in _KEY_ENDINGS


def _is_code(name: str) -> bool:
    return Path(name).suffix.lower() in _CODE_ENDINGS


def _is_program(path: Path) -> bool:
    mode = _mode(path)
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _program_places() -> list[str]:
    # Only parts of a prefix: after `python -m venv .`, a project's directory is a prefix.
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix}
    return [
        *_listed("PATH", *_STARTUP_VARIABLES),
        *(f"{prefix}/{part}" for prefix in prefixes for part in _PREFIX_PARTS),
    ]


def _listed(*variables: str) -> list[str]:
    """List the absolute paths in environment variables."""
    entries = [entry for name in variables for entry in os.environ.get(name, "").split(os.pathsep)]
    return [entry for entry in entries if Path(entry).is_absolute()]


def _first_child(path: Path, wanted: Callable[[str], bool]) -> str:
    """Return the first wanted entry of a directory; only the first few thousand entries are read."""
    try:
        with os.scandir(path) as entries:
            names = (entry.name for entry in islice(entries, _ENTRIES_LOOKED_AT))
            return next(filter(wanted, names), "")
    except OSError:
        return ""

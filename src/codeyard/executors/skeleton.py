"""The private part of a sandbox's file system on the disk: empty directories, and the few files of /etc it must have.

Which of the host's directories a build may see is decided here, by a list of what it may, not of what it may not.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

# What programs and package managers need, and nobody keeps a secret in. Of /var only what says what is installed.
TREES = (
    "/usr",
    "/etc",
    "/opt",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/cache/apt",
    "/var/cache/debconf",
    "/var/lib/pam",
    "/var/lib/ucf",
    "/var/lib/rpm",
    "/var/lib/dnf",
    "/var/lib/pacman",
    "/var/lib/alternatives",
    "/lib/apk",
    "/var/cache/apk",
)
# Part of /usr on most systems, by symlinks.
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

_EMPTY: Mapping[str, int] = {
    "boot": 0o755,
    "codebuild": 0o755,
    "dev": 0o755,
    "home": 0o755,
    "media": 0o755,
    "mnt": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "run/lock": 0o1777,
    "srv": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "var": 0o755,
    "var/cache": 0o755,
    "var/lib": 0o755,
    "var/lib/misc": 0o755,
    "var/local": 0o755,
    "var/log": 0o755,
    "var/mail": 0o755,
    "var/opt": 0o755,
    "var/spool": 0o755,
    "var/tmp": 0o1777,
}
_LINKS = {"var/run": "/run", "var/lock": "/run/lock"}
# What apt, dpkg and useradd must open, and of which the host's is only its root's to read.
_PARTIAL = ("/var/lib/apt/lists/partial", "/var/cache/apt/archives/partial")
_LOCKS = (
    "/etc/.pwd.lock",
    "/etc/gshadow-",
    "/etc/shadow-",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/triggers/Lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
    "/var/cache/debconf/passwords.dat",
)
_LARGEST = 4 * 1024 * 1024  # bytes of a file of /etc that is read


def trees() -> tuple[str, ...]:
    """The host's directories that a build sees."""
    merged = tuple(path for path in _MERGED if not Path(path).is_symlink())
    return tuple(path for path in (*merged, *TREES) if Path(path).is_dir() and not Path(path).is_symlink())


def links() -> Mapping[str, str]:
    """The host's symlinks at the top that lead into those."""
    return {path: str(Path(path).readlink()) for path in _MERGED if Path(path).is_symlink()}


def lay_out(root: Path, mounted: Iterable[str], owner: int | None) -> None:
    """Make the directories in `root`, with a place for each of `mounted`. `owner`: the uid and gid to give them to."""
    made = [root]
    root.mkdir(mode=0o755)
    for name, mode in _EMPTY.items():
        place = root / name
        place.mkdir()
        place.chmod(mode)
        made.append(place)
    for path in mounted:
        place = root
        for part in path.strip("/").split("/"):
            place = place / part
            if not place.is_dir():
                place.mkdir(mode=0o755)
                made.append(place)
    for name, target in {**_LINKS, **{path.strip("/"): target for path, target in links().items()}}.items():
        (root / name).symlink_to(target)
        made.append(root / name)
    if owner is not None:
        for place in made:
            os.chown(place, owner, owner, follow_symlinks=False)


def cover(tree: str, over: Path, owner: int) -> None:
    """Put into `over`, which is to lie over `tree`, what would lack or be wrong there. It need not be there yet."""
    if tree == "/etc":
        _directory(over, owner)
        _cover_etc(over, owner)
    for name in (*_PARTIAL, *_LOCKS):
        if not name.startswith(f"{tree}/") or not os.path.lexists(name):
            continue
        place = over / name.removeprefix(f"{tree}/")
        _directory(place.parent, owner)
        if name in _LOCKS:
            _write(place, "", 0o640, owner, 0)
        else:
            _directory(place, owner)
            os.setxattr(place, "trusted.overlay.opaque", b"y")


def _cover_etc(over: Path, owner: int) -> None:
    """Accounts without passwords; addresses as they are now, also where they are symlinks into /run, or mounts."""
    groups = _read(Path("/etc/group"))
    group = _id_of("shadow", groups)
    _write(over / "shadow", _locked(_read(Path("/etc/passwd")), ":*:19000:0:99999:7:::"), 0o640, owner, group)
    _write(over / "gshadow", _locked(groups, ":!::"), 0o640, owner, group)
    for name in ("hosts", "resolv.conf"):
        _write(over / name, _read(Path("/etc", name)), 0o644, owner, 0)
    if Path("/etc/sudoers").exists():
        _write(over / "sudoers", "root ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440, owner, 0)


def fill_run(root: Path) -> None:
    """Where /etc is the host's own: let its resolv.conf be found, if it is a symlink into /run."""
    target = Path(os.path.realpath("/etc/resolv.conf"))
    if target.parts[:2] == ("/", "run"):
        place = root / target.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_read(target))


def _locked(accounts: str, rest: str) -> str:
    names = [line.partition(":")[0] for line in accounts.splitlines() if ":" in line]
    return "".join(f"{name}{rest}\n" for name in names)


def _id_of(name: str, groups: str) -> int:
    for line in groups.splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2]) % 65536
    return 0


def _read(path: Path) -> str:
    """A plain file that the world may read; nothing, if it is anything else."""
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH):
            return ""
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_LARGEST)
    except OSError:
        return ""


def _write(path: Path, text: str, mode: int, owner: int, group: int) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    os.chown(path, owner, owner + group)
    path.chmod(mode)


def _directory(path: Path, owner: int) -> None:
    if not path.is_dir():
        _directory(path.parent, owner)
        path.mkdir()
        os.chown(path, owner, owner)
        path.chmod(0o755)

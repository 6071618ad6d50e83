"""Which system calls a build may not make: a filter for the kernel, as bwrap's `--seccomp` takes it.

Only calls that root of a user namespace without capabilities could still make, that builds do not need, and that have
been ways into the kernel. What needs a capability is refused for want of the capability. Pure.
"""

import struct
from collections.abc import Mapping

# uapi/linux/audit.h: AUDIT_ARCH_*
X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7

_SINCE_COMMON_NUMBERS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}

# The kernel's tables: arch/x86/entry/syscalls/syscall_{64,32}.tbl and uapi/asm-generic/unistd.h
DENIED: Mapping[int, Mapping[str, int]] = {
    X86_64: {
        "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "open_by_handle_at": 304, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313,
        "delete_module": 176, "lookup_dcookie": 212, "syslog": 103, **_SINCE_COMMON_NUMBERS,
    },
    I386: {
        "add_key": 286, "request_key": 287, "keyctl": 288, "bpf": 357, "perf_event_open": 336, "userfaultfd": 374,
        "open_by_handle_at": 342, "kexec_load": 283, "init_module": 128, "finit_module": 350, "delete_module": 129,
        "lookup_dcookie": 253, "syslog": 103, "vm86": 166, "vm86old": 113, **_SINCE_COMMON_NUMBERS,
    },
    AARCH64: {
        "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "open_by_handle_at": 265, "kexec_load": 104, "kexec_file_load": 294, "init_module": 105, "finit_module": 273,
        "delete_module": 106, "lookup_dcookie": 18, "syslog": 116, **_SINCE_COMMON_NUMBERS,
    },
}  # fmt: skip

_ARCHITECTURES = {"x86_64": (X86_64, I386), "aarch64": (AARCH64,)}

EPERM, ENOSYS = 1, 38
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # uapi/linux/seccomp.h: SECCOMP_RET_*

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # uapi/linux/bpf_common.h: BPF_LD|W|ABS, BPF_JMP|…, BPF_RET
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_X32 = 0x40000000  # the bit of the numbers of x86-64's other kind of call, by which the list could be gone round


def program(machine: str) -> bytes | None:
    """The filter (struct sock_filter[]) for `uname -m`; None for a machine whose numbers are not known here.

    Calls of an architecture that is not the machine's own answer ENOSYS, what is denied EPERM.
    """
    architectures = _ARCHITECTURES.get(machine)
    if architectures is None:
        return None
    code = [_step(_LOAD, _ARCHITECTURE)]
    for architecture in architectures:
        body = _deny(architecture)
        code += [_step(_EQUAL, architecture, 0, len(body)), *body]
    return b"".join([*code, _step(_RETURN, ERRNO | ENOSYS)])


def _deny(architecture: int) -> list[bytes]:
    numbers = sorted(DENIED[architecture].values())
    tests = [_step(_LOAD, _NUMBER)]
    if architecture == X86_64:
        tests += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, ERRNO | ENOSYS)]
    tests += [_step(_EQUAL, number, len(numbers) - place, 0) for place, number in enumerate(numbers)]
    return [*tests, _step(_RETURN, ALLOW), _step(_RETURN, ERRNO | EPERM)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)

# SPDX-License-Identifier: MIT
"""
What pyproject.toml cannot say: the three binaries, and how they link.

    ndisbridge/libndisbridge.so       the core; no symbol of Python in it
    ndisbridge/_ndisbridge.abi3.so    cffi's module, linked to it
    ndisbridge/_fastcall.abi3.so      the METH_FASTCALL table, linked to it

Environment: NDISBRIDGE_SANITIZE=address,undefined or thread,
NDISBRIDGE_COVERAGE=1, NDISBRIDGE_DEBUG=1 (every assertion).  A build with
other switches than the last one builds everything again.  A plain build
optimizes the core across its files, where compiler and linker can: a call
goes through three of them.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

CORE = "ndisbridge.libndisbridge"
HEADER = "ndisbridge/include/ndisbridge.h"
ROOT = Path(__file__).parent
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

version = re.search(
    r'NDISBRIDGE_VERSION "([^"]+)"', (ROOT / HEADER).read_text()
)
assert version is not None

compile_args = ["-std=c11", "-O2", "-pthread", "-fno-strict-aliasing"]
link_args = ["-pthread"]
if sys.platform == "linux":
    compile_args += ["-fstack-protector-strong", "-fno-plt"]
    link_args += ["-Wl,-z,relro,-z,now"]
if os.environ.get("NDISBRIDGE_DEBUG"):
    compile_args += ["-g", "-O1", "-DNB_ASSERT_LEVEL=3"]
if sanitizers := os.environ.get("NDISBRIDGE_SANITIZE"):
    compile_args += ["-g", f"-fsanitize={sanitizers}"]
    link_args += [f"-fsanitize={sanitizers}"]
if os.environ.get("NDISBRIDGE_COVERAGE"):
    compile_args += ["-O0", "--coverage"]
    link_args += ["--coverage"]

LTO = "-flto=auto"
# The few bytes of thread-local state are had without a call.  Only glibc keeps
# room for those of a library that is loaded late; musl refuses it.
TLS = ["-ftls-model=initial-exec"] if platform.libc_ver()[0] == "glibc" else []
INSTRUMENTED = any(
    os.environ.get(f"NDISBRIDGE_{name}")
    for name in ("DEBUG", "SANITIZE", "COVERAGE")
)
core = Extension(
    CORE,
    sources=sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "csrc").glob("*.c")
        if path.name != "fastcall.c"
    ),
    depends=[
        HEADER,
        "setup.py",
        *(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").glob("*.h")),
    ],
    define_macros=[("NDISBRIDGE_BUILD", None)],
    extra_compile_args=[
        *compile_args,
        "-fvisibility=hidden",
        *TLS,
    ],
    extra_link_args=[*link_args, "-Wl,-soname,libndisbridge.so"],
)
fastcall = Extension(
    "ndisbridge._fastcall",
    sources=["csrc/fastcall.c"],
    depends=[HEADER, "setup.py", "csrc/platform.h", "csrc/python_later.h"],
    py_limited_api=not FREE_THREADED,
)


class BuildExt(build_ext):
    """Builds the core first, under its plain name, and links to it."""

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.endswith("libndisbridge"):
            return os.path.join(*fullname.split(".")) + ".so"
        return super().get_ext_filename(fullname)

    def get_libraries(self, ext: Extension) -> list[str]:
        # Some builds of Python add libpython here.
        if ext.name == CORE:
            return list(ext.libraries)
        return super().get_libraries(ext)

    def build_extensions(self) -> None:
        self._forget_directories()
        if not INSTRUMENTED and self._links_with(LTO):
            core.extra_compile_args = [*core.extra_compile_args, LTO]
            core.extra_link_args = [*core.extra_link_args, LTO, "-O2"]
        switches = self._switches()
        self.extensions.sort(key=lambda ext: ext.name != CORE)
        for ext in self.extensions:
            ext.depends.append(switches)
            if ext.name != CORE:
                directory = os.path.dirname(self.get_ext_fullpath(CORE))
                ext.library_dirs.insert(0, os.path.abspath(directory))
                ext.libraries.append("ndisbridge")
                ext.runtime_library_dirs = []
                ext.extra_compile_args = [*compile_args, *TLS]
                ext.extra_link_args = [*link_args, "-Wl,-rpath,$ORIGIN"]
        # With -j the others would be linked before there is a core.
        self.parallel = None
        super().build_extensions()

    def _forget_directories(self) -> None:
        """
        Drops the run-time search paths that this Python was linked with.

        They name its own directories, which would be searched before ours
        wherever a wheel goes.
        """
        inherited = set(
            shlex.split(sysconfig.get_config_var("LDSHARED") or "")
        )
        self.compiler.linker_so = [
            each
            for each in self.compiler.linker_so
            if not (each in inherited and each.startswith("-Wl,-rpath"))
        ]

    def _links_with(self, switch: str) -> bool:
        """Whether two files make a library with it, without a warning."""
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "a.c").write_text("int a(void) { return 1; }\n")
            (directory / "b.c").write_text(
                "int a(void);\nint b(void) { return a(); }\n"
            )
            options = ["-fPIC", "-O2", switch]
            commands = [
                [*self.compiler.compiler_so, *options, "-c", "a.c", "b.c"],
                [*self.compiler.linker_so, *options, "a.o", "b.o", "-o", "c"],
            ]
            try:
                return not any(
                    subprocess.run(
                        each,
                        cwd=directory,
                        check=True,
                        capture_output=True,
                    ).stderr
                    for each in commands
                )
            except (OSError, subprocess.CalledProcessError):
                return False

    def _switches(self) -> str:
        """A file that is newer than the binaries if they need others."""
        text = json.dumps(
            [
                core.extra_compile_args,
                core.extra_link_args,
                [os.environ.get(n) for n in ("CC", "CFLAGS", "LDFLAGS")],
            ]
        )
        path = ROOT / "build" / "switches.json"
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return str(path)


class BdistWheel(bdist_wheel):
    """One wheel for every CPython from 3.10 on, where there is a GIL."""

    def finalize_options(self) -> None:
        if not FREE_THREADED:
            self.py_limited_api = "cp310"
        super().finalize_options()


setup(
    version=version[1],
    ext_modules=[core, fastcall],
    cffi_modules=["csrc/cffi_build.py:ffibuilder"],
    cmdclass={"build_ext": BuildExt, "bdist_wheel": BdistWheel},
)

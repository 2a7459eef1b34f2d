#!/usr/bin/env python3
"""Compiles crates/gpu's kernels by NVRTC, without a GPU or a driver, and checks what the assembler says of each.

    scripts/gpu/check-kernels.py [SOURCE.cu ...]

Without sources: the crate's own, as follows. With some, such as the example cuda_step --text prints: those alone.

NVRTC comes from PyPI into target/nvrtc (110 MB). For each architecture, width, head and storage: every kernel compiles, has
no stack frame, spills nothing, keeps within its registers, and has tensor core instructions where it is meant to.
"""
import ctypes
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CRATE = ROOT / "crates/gpu"
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
# Width, head, storage.
SETTINGS = ((64, 16, "float"), (256, 32, "float"), (256, 32, "bf16"), (512, 64, "bf16"), (20, 4, "float"))
# With 128 registers, kernels of 256 threads still fill half of a multiprocessor. Wide rows need more.
REGISTERS = {512: 192}
# Blocks of 128 threads may have more.
OF_SMALL_BLOCKS = {"scan_backward": 160}


def nvrtc():
    home = ROOT / "target/nvrtc"
    found = list(home.glob("lib/python3*/site-packages/nvidia/cu13/lib/libnvrtc.so.13"))
    if not found:
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "nvidia-cuda-nvrtc==13.0.*"], check=True)
        found = list(home.glob("lib/python3*/site-packages/nvidia/cu13/lib/libnvrtc.so.13"))
    # NVRTC looks for its second library by name: open that first.
    for builtins in found[0].parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(found[0]))


def source():
    """The kernels as src/source.rs puts them together."""
    files = re.findall(r'include_str!\("\.\./kernels/(\w+\.cu)"\)', (CRATE / "src/source.rs").read_text())
    lines = [line for file in files for line in (CRATE / "kernels" / file).read_text().splitlines()]
    return "\n".join(line for line in lines if not line.startswith(("#include", "#pragma once")))


def compile_for(lib, text, architecture, width, head, store, binary=True):
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    options = [f"--gpu-architecture={architecture}", "--std=c++17", "-default-device", f"-DWIDTH={width}", f"-DHEAD={head}", f"-DSTORE={store}"]
    options += ["--ptxas-options=-v"] if binary else []
    options = [option.encode() for option in options]
    status = lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(program, log)
    ptx = b""
    if status == 0 and not binary:
        lib.nvrtcGetPTXSize(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        lib.nvrtcGetPTX(program, buffer)
        ptx = buffer.value
    lib.nvrtcDestroyProgram(ctypes.byref(program))
    return status, log.value.decode(), ptx.decode()


def told_of(log):
    return re.findall(r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers", log, re.S)


def faults_of(where, told, width):
    faults = []
    for name, *numbers in told:
        stack, stores, loads, registers = map(int, numbers)
        if stack or stores or loads or registers > OF_SMALL_BLOCKS.get(name, REGISTERS.get(width, 128)):
            faults.append(f"{where}: {name} has {stack} bytes of stack, spills {stores + loads}, uses {registers} registers")
    return faults


def check_files(lib, files):
    faults = []
    for file in files:
        text = pathlib.Path(file).read_text()
        kernels = set(re.findall(r"^KERNEL\([^)]*\)\s*(\w+)\(", text, re.M))
        for architecture in ARCHITECTURES:
            where = f"{file}, {architecture}"
            status, log, _ = compile_for(lib, text, architecture, 32, 16, "float")
            if status != 0:
                sys.exit(f"{where}: does not compile\n{log}")
            told = told_of(log)
            missing = kernels - {name for name, *_ in told}
            faults += faults_of(where, told, 0) + [f"{where}: told nothing of {name}" for name in sorted(missing)]
            most = max(told, key=lambda row: int(row[4]))
            print(f"{where}: {len(told)} kernels, at most {most[4]} registers ({most[0]})")
    return faults


def finish(faults):
    print("\n".join(faults) or "no stack frames, no spills")
    sys.exit(1 if faults else 0)


def main():
    lib, text, faults = nvrtc(), source(), []
    if sys.argv[1:]:
        finish(check_files(lib, sys.argv[1:]))
    kernels = set(re.findall(r"^KERNEL\([^)]*\)\s*(\w+)\(", text, re.M))
    for architecture in ARCHITECTURES:
        for width, head, store in SETTINGS:
            where = f"{architecture}, width {width}, head {head}, {store}"
            status, log, _ = compile_for(lib, text, architecture, width, head, store)
            if status != 0:
                sys.exit(f"{where}: does not compile\n{log}")
            told = told_of(log)
            # Attention by the tensor cores takes heads in multiples of 16.
            missing = kernels - {name for name, *_ in told} - ({"attention_mma", "attention_mma_backward"} if head % 16 else set())
            if missing:
                faults.append(f"{where}: told nothing of {', '.join(sorted(missing))}")
            faults += faults_of(where, told, width)
            if head % 16 == 0:
                _, _, ptx = compile_for(lib, text, architecture.replace("sm_", "compute_"), width, head, store, binary=False)
                meant = "m16n8k8.row.col.f32.tf32" if store == "float" else "m16n8k16.row.col.f32.bf16"
                for name in ("attention_mma", "attention_mma_backward"):
                    body = re.search(rf"\.entry {name}\(.*?^}}", ptx, re.S | re.M)
                    if not body or f"mma.sync.aligned.{meant}" not in body[0]:
                        faults.append(f"{where}: {name} doesn't use the tensor cores")
            most = max(told, key=lambda row: int(row[4]))
            print(f"{where}: {len(told)} kernels, at most {most[4]} registers ({most[0]})")
    finish(faults)


main()

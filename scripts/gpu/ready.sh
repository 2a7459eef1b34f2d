# Sourced by the scripts that run on a GPU's machine: unpacks target/gpu-bin, and finds CUDA's libraries.
#
# They are looked for where PyTorch's wheels put them; the driver's own library is found by the system.

programs=/tmp/looped-gpu
if [ -e target/gpu-bin/programs.tar.xz ] && [ ! -e "$programs/looped" ]; then
  mkdir -p "$programs"
  tar -C "$programs" -xJf target/gpu-bin/programs.tar.xz
  # The tests look for their fixtures where they were built.
  source=$(cat "$programs/source")
  if [ ! -e "$source" ]; then
    mkdir -p "$(dirname "$source")"
    ln -s "$PWD" "$source"
  fi
fi
libraries=$(python3 - <<'END'
import glob, os, sysconfig
places = glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "lib"))
places += ["/usr/local/nvidia/lib64", "/usr/local/cuda/lib64"]
print(":".join(place for place in places if os.path.isdir(place)))
END
)
# For our programs alone: PyTorch finds its own.
with_cuda() {
  LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$@"
}

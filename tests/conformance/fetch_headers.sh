#!/usr/bin/env bash
# ONNX Runtime's C headers from Debian's package, which this system's release may not have yet: fetched from the next one,
# unpacked beside the system, never installed.
set -euo pipefail
target=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -v security | head -1)
[ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list | grep -v security | head -1)
mkdir -p "$work/lists/partial" "$work/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$work/sources.list"
options=(-q -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update > /dev/null
(cd "$work" && apt-get "${options[@]}" download libonnxruntime-dev > /dev/null && dpkg-deb -x libonnxruntime-dev*.deb unpacked)
mkdir -p "$target"
cp -r "$work/unpacked/usr/include/onnxruntime/." "$target/"
find "$target" -name onnxruntime_c_api.h | grep -q . || { echo "no onnxruntime_c_api.h in the package" >&2; exit 1; }
[ -f "$target/onnxruntime_c_api.h" ] || cp "$(find "$target" -name onnxruntime_c_api.h | head -1)" "$target/"

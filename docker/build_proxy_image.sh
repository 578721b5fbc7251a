#!/usr/bin/env bash
# Builds the proxy's image with buildah, which needs no daemon, and runs its command in it.
#
#   docker/build_proxy_image.sh            FROM the public Python image
#   BASE=debian docker/build_proxy_image.sh   FROM a Debian made here with debootstrap
#
# With chroot isolation and plain-file storage it also works inside a container. TORCH_WHEELS names
# a folder with torch's wheel, where neither the index nor PyTorch's own can be reached.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TAG=${TAG:-unlearn-guard-proxy}
BASE=${BASE:-docker.io/library/python:3.11-slim}
ROOT=${IMAGE_STORE:-$PWD/.cache/images}

fail() { echo "image: $*" >&2; exit 2; }
command -v buildah >/dev/null || fail "buildah is not installed; run \`apt-get install buildah\`"
bud() { buildah --root "$ROOT/store" --runroot "$ROOT/run" --storage-driver vfs "$@"; }

mkdir -p "$ROOT"
if [ "$BASE" = debian ]; then
  command -v debootstrap >/dev/null || fail "debootstrap is not installed; run \`apt-get install debootstrap\`"
  BASE=localhost/unlearn-guard-debian
  if ! bud inspect --type image "$BASE" >/dev/null 2>&1; then
    echo "image: making a Debian base (minutes, once)"
    rm -rf "$ROOT/debian"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
      bookworm "$ROOT/debian" >"$ROOT/debootstrap.log" 2>&1 \
      || fail "debootstrap failed: $(tail -1 "$ROOT/debootstrap.log") (log: $ROOT/debootstrap.log)"
    base=$(bud from scratch)
    bud add "$base" "$ROOT/debian" / >/dev/null
    bud commit --rm "$base" "$BASE" >/dev/null
    rm -rf "$ROOT/debian"
  fi
fi

# What the build needs to reach package indexes the way this machine does.
volumes=()
[ -f /etc/pip.conf ] && volumes+=(--volume /etc/pip.conf:/etc/pip.conf:ro)
[ -f /etc/ssl/certs/ca-certificates.crt ] \
  && volumes+=(--volume /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro)
if [ -n "${TORCH_WHEELS:-}" ]; then
  trap 'rm -f docker/wheels/*.whl' EXIT
  cp "$TORCH_WHEELS"/torch-*.whl docker/wheels/
fi

bud bud --isolation chroot --format docker "${volumes[@]}" --build-arg "BASE=$BASE" \
  --file docker/proxy.Containerfile --tag "$TAG" .

echo "image: running its command in it"
container=$(bud from --pull-never "$TAG")
trap 'rm -f docker/wheels/*.whl; bud rm "$container" >/dev/null' EXIT
run() { bud run --isolation chroot --user 10001:10001 "$@"; }
run "$container" -- unlearn-guard --help >/dev/null
run --volume "$PWD/policies:/etc/unlearn-guard/policies:ro" "$container" -- \
  unlearn-guard check /etc/unlearn-guard/policies
echo "image: $TAG is built; its store is $ROOT"

# Sourced by the commands of this folder: the system packages they need, and builds that run only when something
# changed. Standard output belongs to the command that is wrapped, so everything here speaks on standard error.

# shellcheck shell=bash
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# need PACKAGE TEST…: notes Debian's PACKAGE as missing unless the command TEST succeeds. What is tested is the thing
# itself, not the package's name, so a library or tool that came another way is good too.
missing=()
need() { local package=$1; shift; "$@" >/dev/null 2>&1 || missing+=("$package"); }

# What drives a real browser; call it with the array `python` set.
need_browser() {
  need chromium command -v chromium
  need chromium-driver test -x /usr/bin/chromedriver
  need python3-selenium "${python[@]}" -c 'import selenium'
}

# Installs what `need` noted as missing, or says how.
install_missing() {
  ((${#missing[@]})) || return 0
  local packages="${missing[*]}"
  missing=()
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    die "Some system packages are missing. Install them and start again:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends $packages"
  fi
  say "Installing $packages…"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086  # a list of names, to be split
  { apt-get -q update && apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $packages; } >&2 \
    || die "apt-get could not install $packages."
}

# What tests use from PyPI, in an environment of its own: a generator of clients, a type checker, a tester of APIs. Where
# it cannot be had, those tests are skipped and say so.
install_tools() {
  local wanted=$root/Tests/System/tools.txt tools=$root/.build/python-tools
  ! cmp -s "$wanted" "$tools/installed.txt" || return 0
  say "Installing Python tools from PyPI…"
  rm -rf "$tools"
  if "${python[@]}" -m venv "$tools" >&2 \
    && "$tools/bin/pip" install -q --disable-pip-version-check --only-binary :all: --no-deps -r "$wanted" >&2; then
    cp "$wanted" "$tools/installed.txt"
  else
    rm -rf "$tools"
    say "They could not be installed; tests that use them are skipped."
  fi
}

# fresh NAME BINARY SOURCE…: whether BINARY is what building SOURCE would make now. The stamp of a build is as old as
# its start, so what changed meanwhile is newer. -cnewer compares with inode change times, which a file also gets when
# it is moved or unpacked with an old date; a removed file changes its folder's. A toolchain counts as a source: the
# binary has its runtime. Without one on PATH, what was built still runs.
fresh() {
  local stamp=$root/.build/$1.stamp binary=$2 swift
  shift 2
  [[ -e $binary && -e $stamp ]] || return 1
  if swift=$(command -v swift); then
    swift=$(readlink -f "$swift")
    [[ $(<"$stamp") == "$swift" ]] || return 1
    set -- "$@" "$swift"
  fi
  [[ -z $(find "$@" "$root"/Package.* "$root/Plugins" -cnewer "$stamp" -print -quit) ]]
}

# build NAME BINARY SOURCE… -- ARGUMENT…: runs `swift build -c release ARGUMENT…` unless BINARY is fresh. One build at
# a time in a checkout: whoever comes second waits and mostly finds nothing left to do.
build() {
  local target=()
  while [[ $1 != -- ]]; do target+=("$1"); shift; done
  shift
  ! fresh "${target[@]}" || return 0

  require_swift
  mkdir -p "$root/.build"
  exec 9>"$root/.build/bin.lock"
  flock -n 9 || { say "Waiting for another build of this checkout…"; flock 9; }
  if ! fresh "${target[@]}"; then
    [[ -e ${target[1]} ]] || say "Building Fairdraw. The first build compiles its libraries too: some minutes."
    compile "${target[0]}" "$@" 9>&- || die "The build failed; the compiler's words are above, and all of them in .build/${target[0]}.log."
  fi
  exec 9>&-
}

require_swift() {
  command -v swift >/dev/null \
    || die "Fairdraw is built with Swift, and there is no \`swift\` on PATH: see https://www.swift.org/install/linux"
}

compile() {
  local stamp=$root/.build/$1.stamp
  shift
  swift build --version >/dev/null 2>&1 || missing+=(libncurses6 libcurl4 libxml2)  # what the toolchain itself loads
  need git command -v git
  need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
  need g++ compgen -G '/usr/lib/gcc/*/*/libstdc++.so'
  need libsqlite3-dev test -e /usr/include/sqlite3.h
  need pkg-config command -v pkg-config  # which finds libsodium, nettle, libpq, libcurl, jemalloc and librsvg
  need libsodium-dev pkg-config --exists 'libsodium >= 1.0.18'
  need nettle-dev pkg-config --exists 'nettle >= 3.8'
  need libpq-dev pkg-config --exists libpq
  need libcurl4-openssl-dev pkg-config --exists 'libcurl >= 7.87'
  need libjemalloc-dev pkg-config --exists jemalloc
  need librsvg2-dev test -e /usr/include/librsvg-2.0/librsvg/rsvg.h
  need fonts-dejavu-core test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
  install_missing
  # Resolving writes Package.resolved, which would be newer than a stamp taken before.
  [[ -e $root/Package.resolved ]] || swift package --package-path "$root" resolve >&2 || return
  readlink -f "$(command -v swift)" >"$stamp.new"
  swift build --package-path "$root" -c release "$@" 2>&1 | progress "${stamp%.stamp}.log" >&2 && mv "$stamp.new" "$stamp"
}

# progress LOG: what swift build says goes to LOG, each line with the second at which it came; people see one line that
# is written over, or, without a terminal, a line every half minute. If the build fails, they see all but its progress.
progress() {
  local log=$1 line step began=$SECONDS next=0 terminal=
  [[ ! -t 1 ]] || terminal=1
  : >"$log"
  while IFS= read -r line; do
    printf '%4d %s\n' $((SECONDS - began)) "$line" >>"$log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\ ([A-Z][a-z]+)\ ([^ ]+) ]] || continue
    step="$((100 * BASH_REMATCH[1] / BASH_REMATCH[2])) % of the steps that are known, ${BASH_REMATCH[3],} ${BASH_REMATCH[4]##*/}"
    if [[ $terminal ]]; then
      printf '\r\033[K%d:%02d  %s' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "$step"
    elif ((SECONDS - began >= next)); then
      printf '%d:%02d  %s\n' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "$step"
      next=$((SECONDS - began + 30))
    fi
  done
  [[ ! $terminal ]] || printf '\r\033[K'
  # The last line says how it ended.
  if [[ $(tail -n 1 "$log") == *complete!* ]]; then
    printf 'Built in %d:%02d.\n' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60))
  else
    cut -c6- "$log" | grep -v '^\[[0-9]*/[0-9]*\] '
    return 1
  fi
}

# The pages have the documents and the verifiers built in.
build_fairdraw() { build fairdraw "$root/.build/release/fairdraw" "$root/Sources" "$root/docs" -- --product fairdraw; }

# Swift's own writer of man pages, which asks the program for its help.
build_manual() { build manual "$root/.build/release/generate-manual" "$root/Package.swift" -- --product generate-manual; }

build_bare_route() {
  build bare-route "$root/.build/release/bare-route" "$root/bench/BareRoute" -- --product bare-route
}
build_seed_rate() {
  build seed-rate "$root/.build/release/seed-rate" "$root/bench/SeedRate" "$root/Sources/Fairness" \
    -- --product seed-rate
}

build_fuzz() {
  build fuzz "$root/.build/release/fuzz" "$root/Sources" "$root/docs" "$root/Tests/Fuzz" -- --product fuzz
}

build_simulate() {
  build simulate "$root/.build/release/simulate" "$root/Sources" "$root/docs" "$root/Tests/Simulate" \
    "$root/Tests/LedgerSimulation" -- --product simulate
}

# Product by product: a build without --product also compiles what our libraries' packages have besides.
build_tests() {
  build tests "$root/.build/release/fairdrawPackageTests.xctest" "$root/Sources" "$root/docs" "$root/Tests" \
    -- --product fairdrawPackageTests
}

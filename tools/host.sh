# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What every tool here needs from the machine it runs on: progress lines,
# missing Debian packages, the cache directory, and clean-up at exit.
# Sourced, never run; the sourcing script sets `set -euo pipefail`.

HOST_NAME=${0##*/}
# shellcheck disable=SC2034 # for the sourcing script
HOST_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# say TEXT...: one progress line on stderr, with the seconds since the start.
say() {
	printf '[%4ds] %s: %s\n' "$SECONDS" "$HOST_NAME" "$*" >&2
}

die() {
	printf '%s: %s\n' "$HOST_NAME" "$*" >&2
	exit 1
}

# --- Clean-up -------------------------------------------------------------
# Exit handlers run in reverse order, once, on every exit and on the signals
# that a terminal or a CI runner sends.

HOST_EXIT_CMDS=()

at_exit() {
	HOST_EXIT_CMDS+=("$1")
}

host_on_exit() {
	local status=$? i
	trap '' INT TERM HUP
	host_end_step
	for ((i = ${#HOST_EXIT_CMDS[@]} - 1; i >= 0; i--)); do
		eval "${HOST_EXIT_CMDS[i]}" || true
	done
	exit "$status"
}

trap host_on_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# temp_dir VARIABLE: a private directory, removed at exit.
temp_dir() {
	local -n out=$1
	out=$(mktemp -d "${TMPDIR:-/tmp}/vmm-$HOST_NAME.XXXXXX")
	at_exit "rm -rf -- ${out@Q}"
}

# --- Long steps -----------------------------------------------------------

HOST_TICKER=''
HOST_LOG=''

host_end_step() {
	[ -z "$HOST_TICKER" ] || kill "$HOST_TICKER" 2>/dev/null || true
	[ -z "$HOST_TICKER" ] || wait "$HOST_TICKER" 2>/dev/null || true
	[ -z "$HOST_LOG" ] || rm -f -- "$HOST_LOG"
	HOST_TICKER='' HOST_LOG=''
}

# step TEXT COMMAND...: run COMMAND with its output in a log. Say what is being
# done, again every 10 s, and show the end of the log if COMMAND fails. COMMAND
# may be a function: it stops at its first error, unless step is itself called
# in a condition, where the shell ignores errors (so: programs only, there).
step() {
	local text=$1 status=0 parent=$BASHPID
	shift
	HOST_LOG=$(mktemp "${TMPDIR:-/tmp}/vmm-$HOST_NAME-log.XXXXXX")
	say "$text"
	(
		# A pipe that never has data: sleeping without a child to leave behind.
		exec {never}<> <(:)
		while ! read -rt 10 -u "$never" _ && kill -0 "$parent" 2>/dev/null; do
			say "$text: still at it"
		done
	) &
	HOST_TICKER=$!
	set +e
	(
		set -e
		"$@"
	) >"$HOST_LOG" 2>&1 </dev/null
	status=$?
	set -e
	if [ "$status" -ne 0 ]; then
		tail -n 40 -- "$HOST_LOG" >&2
		say "$text: failed with status $status"
	fi
	host_end_step
	return "$status"
}

# --- Debian ---------------------------------------------------------------

# The release as a number; testing and sid have none and count as the newest
# one known here.
host_debian() {
	local ID='' VERSION_ID=''
	# shellcheck source=/dev/null
	. /etc/os-release
	[ "$ID" = debian ] || die "this needs Debian 12 or 13, but /etc/os-release says '$ID'"
	echo "${VERSION_ID:-13}"
}

host_as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo: run as root: $*"
	fi
}

host_apt_get() {
	host_as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

host_apt_update() {
	step "refreshing the package lists (apt-get update)" host_apt_get update
}

# have_package NAME: is it installed?
have_package() {
	local status
	# shellcheck disable=SC2016 # the ${} is dpkg-query's
	status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) || return 1
	[ "$status" = installed ]
}

# know_package NAME: can apt install it?
know_package() {
	local policy
	policy=$(apt-cache policy "$1" 2>/dev/null)
	[[ $policy == *Candidate:* && $policy != *"Candidate: (none)"* ]]
}

# need_packages WHY NAME...: install what is missing, saying what.
need_packages() {
	local why=$1 name missing=() unknown=0
	shift
	for name; do
		have_package "$name" || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	for name in "${missing[@]}"; do
		know_package "$name" || unknown=1
	done
	[ "$unknown" -eq 0 ] || host_apt_update
	if ! step "$why: installing ${missing[*]}" \
		host_apt_get install --no-install-recommends "${missing[@]}"; then
		# Package lists that are too old name files the mirror has dropped.
		host_apt_update
		step "$why: installing ${missing[*]}" \
			host_apt_get install --no-install-recommends "${missing[@]}"
	fi
}

# --- The package lists of each job ----------------------------------------

need_build_packages() {
	need_packages build meson ninja-build gcc libc6-dev pkg-config liburing-dev \
		libjansson-dev libcmocka-dev libaio-dev libseccomp-dev \
		libfdt-dev device-tree-compiler
}

# need_cross_packages ARCH: what builds for another architecture, and runs what the
# build itself has to run.
need_cross_packages() {
	case $1 in
	aarch64) need_packages 'cross build' gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user ;;
	*) die "--arch $1: there is a cross build for aarch64 only" ;;
	esac
}

# drop_stale_build DIR CROSS_FILE: remove DIR if it was made for another one.
drop_stale_build() {
	local log=$1/meson-private/cmd_line.txt
	[ ! -e "$1" ] || grep -qsF "$2" "$log" || rm -rf -- "$1"
}

# The emulator and the compiler for another architecture are here by themselves.
have_cross_lab() { # ARCH
	command -v "qemu-system-$1" "$1-linux-gnu-gcc" >/dev/null
}

need_lab_packages() { # ARCH
	local names=(qemu-system-common cpio busybox-static util-linux)
	case $1 in
	x86_64) names+=(qemu-system-x86) ;;
	aarch64) names+=(qemu-system-arm) ;;
	esac
	[ "$(host_debian)" -eq 12 ] || names+=(virtiofsd)
	need_packages lab "${names[@]}"
}

need_guest_packages() {
	need_packages 'guest kit' busybox-static e2fsprogs cpio xz-utils zstd lz4 gzip \
		gcc libc6-dev util-linux
}

# The sanitizer run-time has clang's version in its name, and is only
# recommended by the clang package. What it reports has names of functions only
# where llvm's symbolizer is.
host_clang_major() {
	apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p'
}

need_proof_packages() {
	need_packages proofs frama-c-base why3 z3 cvc4
}

need_test_packages() {
	local llvm
	llvm=$(host_clang_major)
	if [ -z "$llvm" ]; then
		host_apt_update
		llvm=$(host_clang_major)
	fi
	need_packages tests clang clang-tidy clang-format "libclang-rt-$llvm-dev" \
		libc6-dev-arm64-cross llvm acpica-tools curl iproute2 mandoc mount python3 strace
}

# What tests/linux takes of the host that its guests run on.
need_network_packages() {
	need_packages 'network tests' iproute2 iperf3 tcpdump containernetworking-plugins git
}

# --- The cache ------------------------------------------------------------

host_cache() {
	echo "${VMM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmm}"
}

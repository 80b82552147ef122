# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Debian packages of another architecture: found and downloaded by an apt that
# has lists of its own and sees a machine where nothing is installed, so that
# this machine's own package management never knows of them. Its sources and
# keys are this machine's. Sourced after host.sh.

# foreign_debian ARCH: Debian's name for it.
foreign_debian() {
	case $1 in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*) die "--arch $1: x86_64 and aarch64 are known" ;;
	esac
}

# foreign_apt ARCH PROGRAM ARGUMENT...: apt-get or apt-cache for that architecture.
foreign_apt() {
	local dir debian program=$2
	dir=$(host_cache)/apt-$1
	debian=$(foreign_debian "$1")
	shift 2
	mkdir -p "$dir"/{lists,cache/archives}/partial
	"$program" -q -o APT::Architecture="$debian" -o APT::Architectures="$debian" \
		-o Dir::State::lists="$dir/lists" -o Dir::State::status=/dev/null \
		-o Dir::Cache="$dir/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

foreign_update() { # ARCH
	step "fetching the package lists of $(foreign_debian "$1")" \
		foreign_apt "$1" apt-get update
	touch "$(host_cache)/apt-$1/updated"
}

# foreign_need_lists ARCH: have some.
foreign_need_lists() {
	[ -e "$(host_cache)/apt-$1/updated" ] || foreign_update "$1"
}

# foreign_unpack DIR DEB...: what is in the packages, as files of DIR. Nothing is
# configured. A directory may be a link there.
foreign_unpack() {
	local dir=$1 deb
	shift
	for deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$dir" --keep-directory-symlink --no-same-owner
	done
}

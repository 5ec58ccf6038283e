# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts in this folder: what Larder needs from Debian, and
# how to install what is missing. Nothing is installed, and no privilege is
# asked for, when everything is there.

SETUP_BUILD=(
	autoconf automake pkg-config gcc make libc6-dev
	libfuse3-dev fuse3 librocksdb-dev libzstd-dev libssl-dev
	libjansson-dev libarchive-dev libyaml-dev libcurl4-openssl-dev
)
# Larder builds without these, and then lacks what they are for.
SETUP_OPTIONAL=(libseccomp-dev)
SETUP_TESTS=(
	libcmocka-dev bats clang-format git attr acl iproute2 jq libcap2-bin
	mount
	fish nginx openssl
	passwd procps python3-minimal rsync shellcheck sqlite3 squashfs-tools
	squashfs-tools-ng stress-ng xz-utils zsh zstd
)
SETUP_CLANG=(clang libclang-rt-14-dev)

setup_say() {
	echo "$(basename "$0"): $*" >&2
}

# setup_missing PACKAGE... prints those that are not installed.
setup_missing() {
	local package
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" \
			2>/dev/null)" = installed ] || echo "$package"
	done
}

# setup_as_root COMMAND...
setup_as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		return 1
	fi
}

# setup_apt ARGUMENT... runs apt-get with the right to install.
setup_apt() {
	setup_as_root env DEBIAN_FRONTEND=noninteractive apt-get \
		-qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" \
		</dev/null >&2
}

# setup_install PACKAGE... installs those that are missing. On another kind of
# system it does nothing: configure names what it does not find.
setup_install() {
	local missing install
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null
	then
		setup_say "no apt-get here, so packages are not checked"
		return 0
	fi
	mapfile -t missing < <(setup_missing "$@")
	[ ${#missing[@]} -gt 0 ] || return 0

	install=(install -y --no-install-recommends "${missing[@]}")
	if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
		setup_say "packages are missing; as root, run:" \
			"apt-get ${install[*]}"
		return 1
	fi
	setup_say "installing ${missing[*]}"
	# The lists of a fresh system are empty or name versions that are gone.
	if ! apt-get -s -qq "${install[@]}" </dev/null >/dev/null 2>&1 ||
	   ! setup_apt "${install[@]}"; then
		setup_apt update && setup_apt "${install[@]}"
	fi || {
		setup_say "apt-get could not install ${missing[*]}"
		return 1
	}
}

setup_optional() {
	setup_install "${SETUP_OPTIONAL[@]}" ||
		setup_say "going on without ${SETUP_OPTIONAL[*]}"
}

setup_build() {
	setup_install "${SETUP_BUILD[@]}" && setup_optional
}

# node and npm often come from elsewhere than Debian.
setup_tests() {
	local packages=("${SETUP_BUILD[@]}" "${SETUP_TESTS[@]}")
	command -v npm >/dev/null || packages+=(nodejs npm)
	setup_install "${packages[@]}" && setup_optional
}

# An S3 server that verifies signatures; the case that needs it is skipped
# without. About 70 packages, so only CI asks for it.
setup_s3() {
	setup_install swift-proxy swift-account swift-container swift-object
}

# What the presets are tested with: what Debian has and is not there from
# elsewhere, and from npm's registry, in directory $1, the other package
# managers; prints where their programs are.
setup_presets() {
	local packages=(ccache python3-venv)
	command -v cargo >/dev/null || packages+=(cargo)
	command -v go >/dev/null || packages+=(golang-go)
	setup_install "${packages[@]}"
	npm install --prefix "$1" --no-fund --no-audit --silent \
		yarn@1 pnpm@10 bun >&2 || return
	echo "$1/node_modules/.bin"
}

# setup_fuse makes mounts possible, where the kernel and the container allow it.
setup_fuse() {
	[ -c /dev/fuse ] || setup_as_root modprobe fuse 2>/dev/null || true
	if [ ! -c /dev/fuse ]; then
		setup_say "/dev/fuse is missing: load the kernel module fuse," \
			"or give this container the device and CAP_SYS_ADMIN"
		return 1
	fi
	# fusermount3 does not unmount without it. systemd and most container
	# runtimes make it, a bare root directory lacks it.
	[ -e /etc/mtab ] ||
		setup_as_root ln -s ../proc/self/mounts /etc/mtab ||
		setup_say "/etc/mtab is missing; as root, run:" \
			"ln -s ../proc/self/mounts /etc/mtab"
}

# gcc brings its sanitizers along, clang does not.
setup_clang() {
	setup_install "${SETUP_CLANG[@]}"
}

# setup_autogen SOURCE-DIR makes configure, unless it is newer than all that
# it is made from.
setup_autogen() {
	local newer
	if [ -x "$1/configure" ] && [ -e "$1/Makefile.in" ]; then
		newer=$(cd "$1" && find autogen.sh configure.ac Makefile.am m4 \
			./*/Makemodule.am ./*/*/Makemodule.am -newer configure -print -quit)
		[ -n "$newer" ] || return 0
	fi
	"$1/autogen.sh"
}

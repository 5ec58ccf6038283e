# shellcheck shell=bash disable=SC2154 # bench_dir: of lib.bash
# SPDX-License-Identifier: Apache-2.0
#
# The subjects: what is measured, Larder and its peers, each as a directory that
# shows the tree or is empty and writable. Sourced by run.

# What each row needs, and what the peers come in.
NEEDS=(zstd jq python3-minimal mount fuse3)
declare -A PACKAGE=(
	[fuse-overlayfs]=fuse-overlayfs [squashfuse]=squashfuse
	[squashfs]=squashfs-tools [erofs]=erofs-utils [casync]=casync
	[hyperfine]=hyperfine [gnuplot]=gnuplot-nox
)

# Peers' daemons that run, by the directory that they serve.
declare -A daemon_pids

# can PEER: whether it can be used here
can() {
	case $1 in
	squashfuse) command -v squashfuse_ll >/dev/null ;;
	overlayfs) [ "$(id -u)" -eq 0 ] && grep -qw overlay /proc/filesystems ;;
	erofs | squashfs) [ "$(id -u)" -eq 0 ] && grep -qw "$1" /proc/filesystems ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# peers PEER...: those that can be used here, installed where they are missing
peers() {
	local peer
	for peer in "$@"; do
		[ -z "${PACKAGE[$peer]:-}" ] ||
			setup_install "${PACKAGE[$peer]}" || continue
		! can "$peer" || echo "$peer"
	done
}

dir_of() {
	case $1 in
	plain) tree ;;
	*) echo "$bench_dir/m/$1" ;;
	esac
}

# The tree as the entry tree@v1.
need_entry() {
	[ -z "${have_entry:-}" ] || return 0
	have_entry=yes
	"$LARDER" import "$(tree)" --name tree --key v1 -q >/dev/null
}

# daemon DIR COMMAND...: a peer in the foreground of its own job, until DIR is
# a mount
daemon() {
	local dir=$1
	shift
	"$@" >/dev/null 2>&1 &
	daemon_pids[$dir]=$!
	until mountpoint -q "$dir"; do
		kill -0 "${daemon_pids[$dir]}"
		sleep 0.01
	done
}

# show SUBJECT: the tree, read-only, as a fresh mount
show() {
	local dir
	dir=$(dir_of "$1")
	unshow "$1"
	mkdir -p "$dir"
	case $1 in
	larder) "$LARDER" mount -q -o ro tree@v1 "$dir" ;;
	erofs) mount -t erofs -o loop,ro "$(tree_erofs)" "$dir" ;;
	squashfs) mount -t squashfs -o loop,ro "$(tree_squashfs)" "$dir" ;;
	squashfuse) daemon "$dir" squashfuse_ll -f "$(tree_squashfs)" "$dir" ;;
	fuse-overlayfs)
		layers "$1"
		daemon "$dir" fuse-overlayfs -f -o \
			"lowerdir=$(tree),upperdir=$dir.upper,workdir=$dir.work" "$dir" ;;
	plain) ;;
	esac
}

layers() {
	local dir
	dir=$(dir_of "$1")
	rm -rf "$dir.upper" "$dir.work" "$dir.lower"
	mkdir -p "$dir.upper" "$dir.work" "$dir.lower"
}

# empty SUBJECT: an empty directory that can be written to
empty() {
	local dir
	unempty "$1"
	dir=$(empty_dir "$1")
	mkdir -p "$dir"
	case $1 in
	larder) "$LARDER" mount -q --empty "$dir" >/dev/null ;;
	larder-writeback)
		"$LARDER" mount -q --empty -o writeback "$dir" >/dev/null ;;
	overlayfs)
		layers "$1"
		mount -t overlay overlay -o \
			"lowerdir=$dir.lower,upperdir=$dir.upper,workdir=$dir.work" "$dir" ;;
	fuse-overlayfs)
		layers "$1"
		daemon "$dir" fuse-overlayfs -f -o \
			"lowerdir=$dir.lower,upperdir=$dir.upper,workdir=$dir.work" "$dir" ;;
	plain) ;;
	esac
}

empty_dir() {
	echo "$bench_dir/m/$1"
}

unmount_dir() {
	! mountpoint -q "$1" || umount "$1" 2>/dev/null ||
		fusermount3 -u "$1" || umount -l "$1"
	[ -z "${daemon_pids[$1]:-}" ] || wait "${daemon_pids[$1]}" || :
	unset "daemon_pids[$1]"
}

unshow() {
	local dir
	dir=$(dir_of "$1")
	case $1 in
	plain) ;;
	larder | larder-writeback)
		! mountpoint -q "$dir" || "$LARDER" umount -q --discard "$dir" ;;
	*) unmount_dir "$dir" ;;
	esac
}

unempty() {
	local dir
	dir=$(empty_dir "$1")
	[ -e "$dir" ] || return 0
	case $1 in
	plain) rm -rf "$dir" ;;
	larder | larder-writeback) unshow "$1" ;;
	*) unmount_dir "$dir"; rm -rf "$dir".* ;;
	esac
}

subjects_end() {
	local subject
	for subject in larder larder-writeback erofs squashfs squashfuse \
		fuse-overlayfs overlayfs; do
		unshow "$subject"
	done
	rm -rf --one-file-system "$bench_dir/m"
}

# shellcheck shell=bash disable=SC2154 # seconds, cpu: of measure.bash
# SPDX-License-Identifier: Apache-2.0
#
# Going through the tree: what the kernel has, what the daemon has to give, and
# what the disk has to give.

row warm-walk rows_warm ratio 1.0 plain "warm walk and stat of all"
row warm-open rows_warm ratio 1.2 plain "warm open of all"
row warm-read rows_warm ratio 1.05 plain "warm read of all"
row warm-requests rows_warm count 0 - "requests to the daemon during those"
row cold-walk rows_cold ratio 1.0 erofs "cold walk, fresh mount, store in the page cache"
row cold-read rows_cold ratio 1.0 erofs "cold read of all, likewise"
row dropped-walk rows_dropped ratio 0.7 squashfs "cold walk, page cache dropped"
row dropped-read rows_dropped ratio 0.7 squashfs "cold read of all, likewise"

warm_round() {
	local dir
	dir=$(dir_of "$1")
	once warm-walk "$1" walk "$dir"
	once warm-open "$1" open_all "$dir"
	once warm-read "$1" read_all "$dir"
}

# Of all rounds together, but STATFS: find asks for that at each start, and the
# kernel never keeps it.
requests_but_statfs() {
	all_requests | awk '$1 != "STATFS" { n += $2 } END { print n + 0 }'
}

rows_warm() {
	local before
	need_entry
	show larder
	for subject in larder plain; do
		walk "$(dir_of $subject)" >/dev/null
		read_all "$(dir_of $subject)" >/dev/null
		walk "$(dir_of $subject)" >/dev/null
	done
	before=$(requests_but_statfs)
	take_turns warm_round larder plain
	record warm-requests larder $(($(requests_but_statfs) - before))
}

# All that a subject reads from, once.
touch_sources() {
	case $1 in
	larder) cat "$XDG_CACHE_HOME"/larder/v1/{packs,catalogs}/*/* ;;
	erofs) cat "$(tree_erofs)" ;;
	squash*) cat "$(tree_squashfs)" ;;
	esac >/dev/null
}

cold_round() {
	touch_sources "$1"
	show "$1"
	once cold-walk "$1" walk "$(dir_of "$1")"
	once cold-read "$1" read_all "$(dir_of "$1")"
	unshow "$1"
}

rows_cold() {
	local peers
	need_entry
	mapfile -t peers < <(peers erofs squashfs squashfuse)
	take_turns cold_round larder "${peers[@]}"
}

dropped_round() {
	show "$1"
	drop_caches
	once dropped-walk "$1" walk "$(dir_of "$1")"
	drop_caches
	once dropped-read "$1" read_all "$(dir_of "$1")"
	unshow "$1"
}

rows_dropped() {
	local peers
	if [ ! -w /proc/sys/vm/drop_caches ]; then
		skip dropped-walk dropped-read -- "dropping caches needs root"
		return
	fi
	need_entry
	mapfile -t peers < <(peers erofs squashfs)
	take_turns dropped_round larder plain "${peers[@]}"
}

# SPDX-License-Identifier: Apache-2.0
# What the benchmark scripts share: a private store, timing, medians, and a
# clean end. Sourced, not run.
#
# Times wander on shared machines: scripts compare within one run, alternating,
# and print medians and ratios. Request counts do not depend on the machine.

set -euo pipefail

bench_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

bench_start() {
	bench_dir=$(mktemp -d "${TMPDIR:-/tmp}/larder-bench.XXXXXX")
	export XDG_CACHE_HOME=$bench_dir/cache XDG_STATE_HOME=$bench_dir/state
	export XDG_RUNTIME_DIR=$bench_dir/run XDG_CONFIG_HOME=$bench_dir/config
	# It would begin in a row that lasts a minute; row repacked asks for it.
	export LARDER_STORE_REPACK=off
	mkdir -m 0700 "$XDG_RUNTIME_DIR"
	trap bench_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	bench_programs "$bench_dir/build"
	bench_guard &
}

# Cleans up where the script was killed and could not.
bench_guard() {
	trap '' INT TERM HUP
	exec </dev/null >/dev/null 2>&1 3>&- 4>&-
	while kill -0 $$; do sleep 1; done
	[ ! -e "$bench_dir" ] || bench_end
}

# bench_programs DIR sets LARDER: as it is set, or built in BENCH_BUILD or DIR.
bench_programs() {
	if [ -z "${LARDER:-}" ]; then
		bench_build=${BENCH_BUILD:-$1}
		mkdir -p "$bench_build"
		# shellcheck source=contrib/setup.sh
		(cd "$bench_top" && [ -x configure ] || ./autogen.sh >&2)
		(cd "$bench_build" &&
			{ [ -f Makefile ] || "$bench_top/configure" -q; } &&
			make -s -j"$(nproc)" larder larderd) >&2
		LARDER=$bench_build/larder
	fi
	LARDER=$(realpath "$LARDER")
	export LARDER
}

# Every mount of this run, then its daemon, then its files.
bench_end() {
	local dir
	trap - EXIT
	awk -v d="$bench_dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts |
		tac | while read -r dir; do
			fusermount3 -uz "$dir" 2>/dev/null || umount -l "$dir" || :
		done
	"$LARDER" daemon stop --force >/dev/null 2>&1 || :
	rm -rf --one-file-system "$bench_dir"
}

# time_s CMD...: its seconds, with three decimals, on standard output; the
# command's own output goes nowhere
time_s() {
	local start end
	start=$EPOCHREALTIME
	"$@" >/dev/null 2>"$bench_dir/stderr" || {
		cat "$bench_dir/stderr" >&2
		return 1
	}
	end=$EPOCHREALTIME
	awk -v a="$start" -v b="$end" 'BEGIN { printf "%.3f\n", b - a }'
}

# median: of the numbers on standard input
median() {
	sort -n | awk '{ v[NR] = $1 } END {
		if (NR % 2) print v[(NR + 1) / 2]
		else print (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", (b > 0) ? a / b : 0 }'
}

drop_caches() {
	sync
	[ -w /proc/sys/vm/drop_caches ] && echo 3 >/proc/sys/vm/drop_caches
}

# The three ways to go through a tree. find and tar leave the kernel's caches
# as any build would.
walk() { find "$1" -printf '%s %T@ %m %l\n'; }
open_all() { find "$1" -type f -print0 | xargs -0 -n 2000 head -qc 0; }
read_all() { find "$1" -type f -print0 | xargs -0 -n 2000 cat; }

# A tree of $2 small files in $1, about 32 in a directory, a third of them with
# equal content.
make_tree() {
	python3 - "$1" "$2" <<-'PY'
	import os, sys
	top, n = sys.argv[1], int(sys.argv[2])
	for d in range((n + 31) // 32):
	    path = os.path.join(top, "%03d" % (d // 1000), "dir%d" % d)
	    os.makedirs(path)
	    for i in range(d * 32, min(n, d * 32 + 32)):
	        with open(os.path.join(path, "file%d.js" % i), "w") as f:
	            f.write("module.exports = %d;\n" % (i if i % 3 else 0))
	PY
}

# Writes the package.json and package-lock.json of the real input into this
# directory. Major versions are fixed so that figures of different days compare, and
# rollup so that all its platform packages are older than any registry's lag.
real_project() {
	echo '{"name":"real-input","version":"1.0.0","private":true,"overrides":{"rollup":"4.20.0"}}' >package.json
	npm install --package-lock-only --no-audit --no-fund webpack@5 webpack-cli@5 \
		eslint@8 typescript@5 jest@29 next@14 vite@5 @mui/material@5 \
		@mui/icons-material@5 react@18 react-dom@18 @emotion/react@11 \
		@emotion/styled@11 is-number@6 >/dev/null 2>&1
}

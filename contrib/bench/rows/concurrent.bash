# shellcheck shell=bash disable=SC2154 # seconds, cpu: of measure.bash
# SPDX-License-Identifier: Apache-2.0
#
# Two readers at once, and one that waits for an answer while the processors
# have other work.

row parallel rows_parallel gain 1.7 "one process" "two processes reading, warm: throughput"
row parallel-cold rows_parallel gain 1.7 "one process" "the same on a fresh mount"
row latency rows_latency ratio 1.0 fuse-overlayfs "p99 of a cold stat, processors busy"

# halves DIR: two lists of files, alternating, of the same size
halves() {
	(cd "$1" && find . -type f -print | LC_ALL=C sort) |
		awk -v d="$bench_dir" '{ print >(d "/half" (NR % 2)) }'
}

read_half() { (cd "$1" && tr '\n' '\0' <"$bench_dir/half$2" | xargs -0 -n 2000 cat); }
read_one() { read_half "$1" 0; }

read_two() {
	read_half "$1" 0 >/dev/null &
	read_half "$1" 1 >/dev/null
	wait $!
}

# The gain is twice the one's time by that of the two, which have twice as
# much to read: the one's time is recorded doubled.
parallel_round() {
	local what=$1 row=$2 dir=$3
	timed "read_$what" "$dir"
	if [ "$what" = one ]; then
		record "$row" "one process" "$(awk -v s="$seconds" \
			'BEGIN { print 2 * s }')" "$cpu"
	else
		record "$row" larder "$seconds" "$cpu"
	fi
}

parallel_warm() { parallel_round "$1" parallel "$(dir_of larder)"; }

parallel_cold() {
	touch_sources larder
	show larder
	parallel_round "$1" parallel-cold "$(dir_of larder)"
}

rows_parallel() {
	need_entry
	halves "$(tree)"
	show larder
	read_two "$(dir_of larder)"
	take_turns parallel_warm one two
	take_turns parallel_cold one two
}

# stat_p99 DIR: in seconds, of 5000 files, each looked up by its path
stat_p99() {
	shuf -n 5000 --random-source="$bench_dir/half0" "$bench_dir/half0" |
		python3 -c 'import os, sys, time
os.chdir(sys.argv[1])
took = []
for name in sys.stdin.read().splitlines():
    t = time.perf_counter_ns()
    os.stat(name)
    took.append(time.perf_counter_ns() - t)
took.sort()
print("%.6f" % (took[len(took) * 99 // 100] / 1e9))' "$1"
}

latency_round() {
	local i pids=()
	show "$1"
	for ((i = 0; i < $(nproc); i++)); do
		python3 -c 'while True: pass' &
		pids+=($!)
	done
	record latency "$1" "$(stat_p99 "$(dir_of "$1")")"
	kill "${pids[@]}"
	wait "${pids[@]}" || :
	unshow "$1"
}

rows_latency() {
	local peers
	need_entry
	halves "$(tree)"
	mapfile -t peers < <(peers fuse-overlayfs squashfuse)
	take_turns latency_round larder "${peers[@]}"
}

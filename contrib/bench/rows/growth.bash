# shellcheck shell=bash disable=SC2154 # bench_dir, rounds: of lib.bash and run
# SPDX-License-Identifier: Apache-2.0
#
# What grows with the number of files, and what must not: synthetic trees of
# 1,000 to 1,000,000 files.

row hit rows_growth ms 50 - "hit, larder run to usable tree, the largest"
row hit-flat rows_growth ratio 2.0 smallest "a hit in the largest tree, against one in the smallest"
row memory rows_growth MB 150 - "memory of the daemon, the largest mounted and walked once"

growth_hit() {
	local dir=$bench_dir/m/hit
	mkdir -p "$dir"
	hyperfine -N --style none --warmup 1 --runs $((rounds * 3)) \
		--export-json "$bench_dir/hit.json" \
		--prepare "sh -c '! mountpoint -q $dir || $LARDER umount -q $dir'" \
		"$LARDER run -q --path $dir --name size-$1 --key v1 -- false" \
		>/dev/null 2>&1
	jq '.results[0].median' "$bench_dir/hit.json"
}

growth_round() {
	local n=$1 dir=$bench_dir/m/hit hit
	empty_store
	timed import_synthetic "$n"
	record growth "import $n" "$seconds" "$cpu"
	hit=$(growth_hit "$n")
	record growth "hit $n" "$hit"
	timed walk "$dir"
	record growth "walk $n" "$seconds" "$cpu"
	record growth "memory $n" "$(worker_kib)"
	"$LARDER" umount -q "$dir"
}

import_synthetic() {
	synthetic_tar "$1" | "$LARDER" import - --name "size-$1" --key v1 -q
}

# Resident, but for the pages of mapped files that the kernel may drop.
worker_kib() {
	awk '/^VmRSS/ { print $2 }' "/proc/$("$LARDER" status --json |
		jq .worker_pid)/status"
}

rows_growth() {
	local sizes=(1000 10000 100000 1000000) n
	[ -z "$quick" ] || sizes=(1000 4000)
	if [ -z "$(peers hyperfine)" ]; then
		skip hit hit-flat memory -- "hyperfine is needed"
		return
	fi
	for n in "${sizes[@]}"; do
		growth_round "$n"
	done
	record hit larder "$(growth_of hit "$n")"
	record hit-flat larder "$(growth_of hit "$n")"
	record hit-flat smallest "$(growth_of hit "${sizes[0]}")"
	record memory larder "$(growth_of memory "$n")"
}

growth_of() {
	awk -F '\t' -v what="$1 $2" '$2 == what { print $3 }' "$out/raw.tsv"
}

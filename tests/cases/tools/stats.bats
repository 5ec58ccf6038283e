#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Numbers for machines: larder stats --prometheus and --textfile.

load ../helpers
load ../remote/common

# value METRIC[{LABELS}] prints the sample of what is in the file metrics.
value() {
	awk -v want="larder_$1" '$1 == want { print $2; n++ }
		END { exit n != 1 }' metrics
}

# The format: HELP and TYPE before the samples of each metric, once; names and
# values as they must be; no sample twice; buckets that do not fall, and the
# last of which is the count.
valid() {
	awk '
	function bad(why) { print FILENAME ": " NR ": " why ": " $0; wrong = 1 }
	/^# HELP / {
		if ($3 in help) bad("again")
		help[$3] = 1; next
	}
	/^# TYPE / {
		if (!($3 in help)) bad("no HELP")
		if ($4 !~ /^(counter|gauge|histogram)$/) bad("type")
		if (($4 == "counter") != ($3 ~ /_total$/)) bad("name of a counter")
		type[$3] = $4; current = $3; next
	}
	!/^[a-z_]+(\{([a-z]+="[^"\\]*",?)+\})? -?[0-9][0-9.e+]*$/ { bad("form") }
	{
		name = $1; sub(/\{.*/, "", name); base = name
		if (type[current] == "histogram") sub(/_(bucket|sum|count)$/, "", base)
		if (base != current) bad("not below its TYPE")
		if ($1 in seen) bad("twice")
		seen[$1] = 1
		if (base == name || name ~ /_sum$/) next
		if (name ~ /_count$/) {
			if ($2 != last) bad("count")
			last = 0; next
		}
		if ($2 < last) bad("buckets fall")
		last = $2
	}
	END { if (NR < 5) wrong = 1; exit wrong }' "${1:-metrics}"
}

setup() {
	larder_setup
	mkdir tree m
	echo content >tree/file
}

@test "without a daemon it says so, and starts none" {
	larder stats --prometheus >metrics
	[ "$(value up)" -eq 0 ]
	[ "$(grep -vc '^#' metrics)" -eq 1 ]
	[ -z "$(daemon_pids "$BATS_TEST_TMPDIR")" ]
}

@test "the format is valid and the values are those of status" {
	require_fuse
	need jq
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	echo new >m/new
	cat m/file
	larder stats --prometheus >metrics
	valid
	[ "$(value up)" -eq 1 ]
	[ "$(value 'mounts{mode="rw"}')" -eq 1 ]
	[ "$(value 'mounts{mode="ro"}')" -eq 0 ]
	[ "$(value mounts_dirty)" -eq 1 ]
	[ "$(value store_entries)" -eq 1 ]
	[ "$(value 'fuse_requests_total{opcode="LOOKUP"}')" -eq \
		"$(larder status --json | jq '.mounts[0].requests.LOOKUP')" ]
	[[ $(grep ^larder_build_info metrics) == \
		"larder_build_info{version=\"$(larder status --json |
			jq -r .version)\"} 1" ]]
}

@test "counters do not fall when a mount ends" {
	require_fuse
	local before
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	cat m/file
	larder stats --prometheus >metrics
	before=$(value 'fuse_requests_total{opcode="READ"}')
	[ "$before" -ge 1 ]
	larder umount -q m
	larder stats --prometheus >metrics
	[ "$(value 'fuse_requests_total{opcode="READ"}')" -eq "$before" ]
	[ "$(value 'mounts{mode="rw"}')" -eq 0 ]
	larder mount -q tree@one m
	cat m/file
	larder stats --prometheus >metrics
	[ "$(value 'fuse_requests_total{opcode="READ"}')" -gt "$before" ]
}

@test "tiers, fetches and their histograms" {
	require_fuse
	head -c 3000000 /dev/urandom >tree/noise
	mkdir share
	printf 'tiers:\n  - name: local\n  - {name: disk, url: "file://%s"}\n' \
		"$PWD/share" | configure two
	larder import -q tree --name tree --key one
	larder push -q --to "file://$PWD/share" tree@one
	on two "$LARDER" mount -q tree@one m
	cmp tree/noise m/noise
	on two "$LARDER" stats --prometheus >metrics
	valid
	[ "$(value 'tier_up{tier="disk"}')" -eq 1 ]
	[ "$(value 'tier_hits_total{tier="disk"}')" -ge 3 ]
	[ "$(value 'tier_request_seconds_count{tier="disk"}')" -ge 3 ]
	[ "$(value 'tier_request_seconds_bucket{tier="disk",le="+Inf"}')" -eq \
		"$(value 'tier_request_seconds_count{tier="disk"}')" ]
	[ "$(value fetched_bytes_total)" -ge 3000000 ]
	[ "$(value 'fetches_total{reason="wanted"}')" -ge 1 ]
	[ "$(value chunk_read_wait_seconds_count)" -ge 1 ]
	[[ $(value chunk_read_wait_seconds_sum) != 0.000000 ]]
	[ "$(grep -c '^larder_chunk_read_wait_seconds_bucket' metrics)" -eq 24 ]
	bytes=$(value fetched_bytes_total)
	on two "$LARDER" umount -q m
	on two "$LARDER" stats --prometheus >metrics
	[ "$(value fetched_bytes_total)" -eq "$bytes" ]
}

@test "a textfile is replaced whole, or stays as it was" {
	larder import -q tree --name tree --key one
	mkdir text
	echo old >text/larder.prom
	exec {reader}<text/larder.prom
	larder stats --textfile text/larder.prom
	[ "$(cat <&$reader)" = old ]
	exec {reader}<&-
	cp text/larder.prom metrics
	valid
	[ "$(value store_entries)" -eq 1 ]
	[ "$(ls -A text)" = larder.prom ]
	[ "$(cd text && umask 022 && larder stats --textfile larder.prom &&
		stat -c %a larder.prom)" = 644 ]
	run larder stats --textfile none/larder.prom
	[ "$status" -eq 1 ]
	[[ $output == *'none/larder.prom'* ]]
	run larder stats --textfile text/
	[ "$status" -eq 1 ]
	run larder stats --prometheus --json
	[ "$status" -eq 2 ]
}

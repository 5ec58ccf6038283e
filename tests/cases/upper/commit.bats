#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# diff, commit and reset.

load ../helpers
load common

setup_file() {
	upper_setup_file
}

setup() {
	upper_setup
	mkdir n
}

changes() {
	larder diff --json m | jq -r '.changes[] |
		[.change, .path, .from // empty] | join(" ")'
}

@test "diff says exactly what changed" {
	[ -z "$(changes)" ]
	echo changed >m/a
	chmod 600 m/b
	rm m/dir/file
	rm -r m/other
	echo new >m/dir/new
	mkdir m/made
	echo x >m/made/x
	mv m/dir/sub m/moved
	mv m/script m/renamed
	ln -sfn b m/link
	diff <(changes) - <<-'END'
		modified a
		metadata b
		removed dir/file
		added dir/new
		modified link
		added made
		added made/x
		renamed moved dir/sub
		removed other
		renamed renamed script
	END
	run --separate-stderr larder diff m
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 10 ]
	[[ $output == *dir/new* ]]
}

@test "what was undone is no change" {
	echo x >m/new
	rm m/new
	mv m/a m/c
	mv m/c m/a
	[ -z "$(changes)" ]
}

@test "a commit is the mount's tree, and the base stays" {
	echo changed >m/a
	rm -r m/other
	mv m/dir m/moved
	echo new >m/moved/new
	ln m/b m/b2
	run_json commit m --name base --key two --branch topic
	[ "$(json .unchanged)" = false ]
	[ "$(json .entry.parent)" = one ]
	[ "$(json .entry.branch)" = topic ]
	[ "$(json .entry.files)" -eq "$(find m -type f -printf '%i\n' |
		sort -u | wc -l)" ]
	larder mount -o ro base@two n
	same_state m n
	larder umount n
	larder mount -o ro base@one n
	same_state "$base" n
}

@test "a second commit of the same is unchanged" {
	echo changed >m/a
	run_json commit m --name base --key two
	catalog=$(json .entry.catalog)
	run_json commit m --name base --key three
	[ "$(json .unchanged)" = true ]
	[ "$(json .entry.catalog)" = "$catalog" ]
	[ "$(json .result.new_bytes)" -eq 0 ]
	[ -z "$(changes)" ]
	[ "$(mount_field m dirty)" = false ]
	larder show base@three
}

@test "a commit stores only what is new" {
	echo 'four bytes are not enough' >m/new
	printf 'ten bytes.' >m/dir/new
	mv m/large m/moved-large
	cp m/b m/copy-of-b
	chmod 600 m/script
	run_json commit m --name base --key two
	[ "$(json .result.new_files)" -eq 2 ]
	[ "$(json .result.new_bytes)" -eq 36 ]
	# Nor is more read: what the base has is known.
	[ "$(json .result.read_bytes)" -lt 1000 ]

	echo more >>m/new
	run_json commit m --name base --key three
	[ "$(json .result.new_files)" -eq 1 ]
	[ "$(json .result.read_bytes)" -lt 100 ]
}

@test "few bytes in the middle of a large file are few chunks" {
	printf changed | dd of=m/large bs=1 seek=2500000 conv=notrunc \
		status=none
	run_json commit m --name base --key two
	[ "$(json .result.new_files)" -eq 1 ]
	[ "$(json .result.new_bytes)" -lt 3000000 ]
	larder mount -o ro base@two n
	cmp m/large n/large
}

@test "a commit has what a mapping wrote last" {
	hold mmap-hold m/a 0 MAPPED
	larder commit m --name base --key two
	[ "$(larder cat base@two a | head -c 5)" = MAPPE ]
	release
}

@test "a mount goes on after a commit, and is committed again" {
	for i in 1 2 3; do
		echo "$i" >"m/new$i"
		echo "$i" >>m/a
		larder commit -q m --name base --key "step-$i"
	done
	rm m/new1
	larder commit -q m --name base --key step-4
	[ "$(larder cat base@step-1 a | wc -l)" -eq 2 ]
	[ "$(larder cat base@step-3 a | wc -l)" -eq 4 ]
	larder mount -o ro base@step-4 n
	same_state m n
	[ "$(ls n/new* | xargs)" = 'n/new2 n/new3' ]
	run_json show base@step-4
	[ "$(json .entry.parent)" = step-3 ]

	# And it is the same mount for the next daemon.
	larder umount n
	larder umount m
	larder mount base@step-4 m
	[ "$(cat m/new3)" = 3 ]
}

@test "a commit shrinks the upper" {
	head -c 20000000 /dev/urandom >m/large2
	before=$(mount_field m upper_bytes)
	[ "$before" -ge 20000000 ]
	larder commit -q m --name base --key two
	after=$(mount_field m upper_bytes)
	[ "$after" -lt 5000000 ]
	cmp <(larder cat base@two large2) m/large2
}

@test "an empty mount's commit is an entry of its own" {
	larder umount m
	larder mount --empty m
	cp -a "$base/." m/
	run_json commit m --name fresh --key one
	[ "$(json .entry.parent)" = null ]
	larder mount -o ro fresh@one n
	same_state m n
	[ "$(json .entry.catalog)" = "$(larder show --json base@one |
		jq -r .entry.catalog)" ]
}

@test "reset brings the base back, also to the kernel" {
	echo changed >m/a
	cat m/a m/b
	rm -r m/dir
	ls m/dir 2>/dev/null || true
	mkdir m/made
	echo x >m/made/x
	mv m/other m/moved
	chmod 600 m/b
	truncate -s 100 m/large
	run_json reset m
	[ "$(json .changes)" -ge 6 ]
	same_state "$base" m
	[ -z "$(changes)" ]
	[ "$(mount_field m dirty)" = false ]

	echo again >m/a
	[ "$(changes)" = 'modified a' ]
	run_json umount m
	[ "$(json .kept)" = true ]
}

@test "reset after a commit brings back what was committed" {
	echo committed >m/a
	rm -r m/dir
	echo new >m/new
	larder commit -q m --name base --key two
	tree_state m >seen
	echo later >m/a
	mkdir m/dir
	rm m/new
	larder reset -q m
	is_state m seen
	[ -z "$(changes)" ]
	[ "$(mount_field m entry)" = base@two ]
	larder umount m
	larder mount -q base@two m
	is_state m seen
}

@test "reset of a clean mount changes nothing" {
	run_json reset m
	[ "$(json .changes)" -eq 0 ]
	same_state "$base" m
}

@test "commit needs a name and a key in their alphabet" {
	echo x >m/new
	for arguments in '--name a/b --key one' '--name base --key ../x' \
		'--name base' '--key one' '--name base --key -x'; do
		# shellcheck disable=SC2086 # words
		run larder commit m $arguments
		[ "$status" -eq 2 ]
		[ "${#lines[@]}" -eq 1 ]
	done
}

@test "commit, diff and reset of what is no mount are refused" {
	for command in 'commit n --name a --key b' 'diff n' 'reset n' \
		'umount n'; do
		# shellcheck disable=SC2086 # words
		run larder $command
		[ "$status" -eq 1 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ $output == *"$PWD/n"* ]]
	done
}

@test "a commit under a fingerprint has its parts" {
	echo lock >lock
	key=$(larder key --key-file lock)
	echo x >m/new
	larder commit m --name base --key-file lock
	run_json show "base@$key"
	[ "$(json '.entry.parts[0] | [.kind, .name] | join(" ")')" = \
		'file lock' ]
}

@test "a diff longer than a line of the protocol" {
	deep=m
	for i in $(seq 14); do
		deep=$deep/$(printf '%0250d' "$i")
	done
	mkdir -p "$deep"
	(cd "$deep" && seq -f 'name-%05.0f' 5000 | xargs touch)
	larder diff m >text
	[ "$(wc -l <text)" -eq 5014 ]
	[ "$(wc -c <text)" -gt 17000000 ]
	[ "$(sort -u text | wc -l)" -eq 5014 ]
	larder diff --json m >json
	[ "$(jq '.changes | length' <json)" -eq 5014 ]
	[ "$(jq -r '.changes[-1].path' <json)" = "${deep#m/}/name-05000" ]
}

# rewrite FILE: gives it one letter after another, in place, without pause.
rewrite() {
	local letter
	while :; do
		for letter in a b c d; do
			dd if="letter-$letter" of="$1" bs=1M conv=notrunc \
				status=none || return
		done
	done
}

@test "a commit beside a writer that never pauses: of one moment, and told" {
	for letter in a b c d; do
		head -c 1000000 /dev/zero | tr '\0' "$letter" >"letter-$letter"
	done
	head -c 60000000 /dev/urandom >m/large
	cp letter-a m/busy
	cp letter-b m/busy
	rewrite m/busy 3>&- &
	writer=$!
	larder commit --json m --name base --key two >json
	touch m/large
	larder commit m --name base --key three 2>text
	kill "$writer"
	wait "$writer" || true
	for key in two three; do
		larder cat base@$key busy >got
		cmp got "letter-$(head -c 1 got)"
	done
	cmp m/large <(larder cat base@two large)
	[ "$(jq '.changed_total' <json)" -eq 1 ]
	[ "$(jq -r '.changed[0] | .change + " " + .path' <json)" = \
		'modified busy' ]
	# The second has less to read, and may be done between two writes.
	[ "$(wc -l <text)" -eq 1 ] ||
		grep -q 'warning: changed during the commit.*: busy$' text
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder why: which inputs make a miss, down to the file.

load ../helpers

setup() {
	larder_setup
	mkdir -p tree src
	echo content >tree/file
	echo a >src/a.c
	echo b >src/b.c
	keys=(--key-file 'src/*.c' --key-env SOME --salt s
		--key-script 'cat version 2>&1 || :')
}

commit() {
	larder import -q "$BATS_TEST_TMPDIR/tree" --name web "${keys[@]}" \
		"$@" >/dev/null
}

why() {
	run --separate-stderr larder why --name web "${keys[@]}" "$@"
}

@test "every part that differs is named, and no other" {
	commit
	export SOME=value
	echo A >src/a.c
	rm src/b.c
	ln -s a.c src/b.c
	echo c >src/c.c
	echo 2 >version
	why
	[ "$status" -eq 0 ]
	grep -Eq '^  changed  env        SOME \(not set then\)$' <<<"$output"
	grep -Eq '^  changed  file       src/a.c$' <<<"$output"
	grep -Eq '^  changed  link       src/b.c$' <<<"$output"
	grep -Eq '^  added    file       src/c.c$' <<<"$output"
	grep -Eq '^  changed  script     cat version' <<<"$output"
	[ "$(wc -l <<<"$output")" -eq 6 ]
	rm src/c.c
	ln -sf a.c src/d.c
	rm src/a.c
	keys+=(--any-platform)
	why
	grep -Eq '^  removed  file       src/a.c$' <<<"$output"
	grep -Eq '^  removed  platform' <<<"$output"
}

@test "an exact hit differs in nothing" {
	commit
	why
	[ "$status" -eq 0 ]
	[[ $output == *"there is an entry with the key"* ]]
	run_json why --name web "${keys[@]}"
	[ "$(json .outcome)" = exact ]
	[ "$(json '.changes | length')" -eq 0 ]
}

@test "the nearest entry is the one that run would begin with" {
	commit --branch main
	echo 1 >src/a.c
	commit --branch side
	echo 2 >src/b.c
	why --branch main
	[ "$(grep -c changed <<<"$output")" -eq 2 ]
	why --branch side
	[ "$(grep -c changed <<<"$output")" -eq 1 ]
	[[ $output == *src/b.c* ]]
	why --branch main --restore-prefix none \
		--restore-prefix "$(larder key "${keys[@]}" | cut -c1)"
	[ "$status" -eq 0 ]
	why --branch other
	[ "$(grep -c changed <<<"$output")" -eq 1 ]
}

@test "JSON has both sides" {
	need jq
	commit
	old=$(sha256sum <src/a.c | cut -d' ' -f1)
	echo new >src/a.c
	run_json why --name web "${keys[@]}"
	[ "$(json .outcome)" = partial ]
	[ "$(json .key)" = "$(larder key "${keys[@]}")" ]
	[ "$(json '.changes | length')" -eq 1 ]
	[ "$(json '.changes[0] | [.change, .kind, .name, .was, .is] |
		join(" ")')" = "changed file src/a.c $old $(sha256sum <src/a.c |
		cut -d' ' -f1)" ]
}

@test "nothing to compare with is a miss, and said" {
	why
	[ "$status" -eq 3 ]
	[ -z "$output" ]
	[[ $stderr == *"no entry of this name"* ]]
	need jq
	run --separate-stderr larder why --json --name web "${keys[@]}"
	[ "$status" -eq 3 ]
	[ "$(json .outcome)" = miss ]
	larder import -q tree --name web --key own
	why
	[ "$status" -eq 0 ]
	[[ $output == *"user's own"* ]]
	run larder why --name web --key other
	[ "$status" -eq 0 ]
	[[ $output == *"user's own"* ]]
	run larder why --name web
	[ "$status" -eq 2 ]
	run larder why --salt x
	[ "$status" -eq 2 ]
}

@test "a name is found by the path as in run" {
	require_fuse
	larder run -q --path out/dir --key-file 'src/*.c' -- \
		sh -c 'echo x >out/dir/x'
	echo new >src/a.c
	run larder why --path out/dir --key-file 'src/*.c'
	[ "$status" -eq 0 ]
	[[ $output == *src/a.c* ]]
}

@test "git: changed files, and the files between two commits" {
	need git jq
	mkdir project
	mv src project/
	cd project
	git init -q -b main .
	git config user.name test
	git config user.email test@example.org
	git add src
	git commit -qm one
	keys=(--key-git)
	commit
	echo new >src/a.c
	echo c >src/c.c
	rm src/b.c
	why
	[[ $output == *"added    git-file   src/a.c (now not as in HEAD"* ]]
	[[ $output == *"added    git-file   src/c.c"* ]]
	[[ $output == *"added    git-gone   src/b.c (not there now)"* ]]
	[ "$(wc -l <<<"$output")" -eq 4 ]
	commit
	git checkout -q src/b.c
	why
	[[ $output == *"removed  git-gone   src/b.c (now as in HEAD"* ]]
	commit
	git add src
	git commit -qm two
	why
	[[ $output == *"changed  git-head"*then*now* ]]
	[ "$(grep -c '^                      src/' <<<"$output")" -eq 2 ]
	run_json why --name web --key-git
	[ "$(json '.changes[] | select(.kind == "git-head") | .files |
		join(" ")')" = 'src/a.c src/c.c' ]
	[ "$(json '.changes[] | select(.kind == "git-head") | .was[:40]')" = \
		"$(git rev-parse HEAD^)" ]
	# A clone that has not that commit says no files.
	git checkout -q --orphan else
	git commit -qm three
	git branch -qD main
	git reflog expire --expire=now --all
	git gc -q --prune=now
	why
	[ "$status" -eq 0 ]
	[[ $output == *"changed  git-head"* ]]
	! grep -q '^                      src/' <<<"$output"
}

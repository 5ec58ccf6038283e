#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The scripts for CI systems, as those call them: runners with stores of their
# own, that share a directory.

load ../helpers
load ../remote/common

setup() {
	larder_setup
	need jq
	scripts=$LARDER_SRCDIR/contrib/ci
	mkdir share
	export LARDER_CI_TIERS=local:rw,file://$PWD/share:rw
	export LARDER_CI_PATH=node_modules
	unset GITHUB_OUTPUT LARDER_CI_RESTORE_KEYS LARDER_CI_COPY \
		LARDER_CI_LOOKUP_ONLY LARDER_CI_FAIL_ON_MISS
}

# job RUNNER SCRIPT runs it in the runner's work space, with its outputs in
# the file `outputs` there; they are printed.
job() {
	mkdir -p "$1"
	: >"$1/outputs"
	(cd "$1" && on "$1" env LARDER_CI_OUTPUT="$PWD/outputs" \
		"$scripts/$2" 2>said) || return
	cat "$1/outputs"
}

# leave RUNNER: what the next job there finds is a new work space.
leave() {
	local dir
	for dir in "$1"/*/; do
		! mountpoint -q "$dir" ||
			on "$1" "$LARDER" umount -q --discard "$dir"
	done
	rm -rf --one-file-system "$1"
}

outputs() {
	printf 'cache-hit=%s\ncache-matched-key=%s' "$1" "$2"
}

@test "a miss, a save, a hit on another runner, and a save that changes nothing" {
	require_fuse
	export LARDER_CI_KEY='npm/Linux-é_1 2'
	[ "$(job one restore)" = "$(outputs false '')" ]
	mkdir one/node_modules
	echo package >one/node_modules/a
	job one save
	[ "$(job two restore)" = "$(outputs true "$LARDER_CI_KEY")" ]
	mountpoint -q two/node_modules
	[ "$(cat two/node_modules/a)" = package ]
	echo other >two/node_modules/a
	job two save
	grep -q 'is kept under' two/said
	leave two
	[ "$(job two restore)" = "$(outputs true "$LARDER_CI_KEY")" ]
	[ "$(cat two/node_modules/a)" = package ]
}

@test "restore keys: the first that has an entry, its newest; and on top of it" {
	require_fuse
	local key
	for key in npm-Linux-1 npm-Linux-2 npm-Mac-3 yarn-4; do
		export LARDER_CI_KEY=$key
		mkdir -p one/node_modules
		echo "$key" >one/node_modules/a
		job one save
	done
	export LARDER_CI_KEY=npm-Linux-5
	export LARDER_CI_RESTORE_KEYS=$'npm-Linux-nothing\nnpm-Linux-\nnpm-'
	[ "$(job two restore)" = "$(outputs false npm-Linux-2)" ]
	[ "$(cat two/node_modules/a)" = npm-Linux-2 ]
	echo more >two/node_modules/b
	job two save
	[ "$(job three restore)" = "$(outputs true npm-Linux-5)" ]
	[ "$(cat three/node_modules/a three/node_modules/b)" = \
		$'npm-Linux-2\nmore' ]
	leave three
	export LARDER_CI_KEY=go-1
	[ "$(job three restore)" = "$(outputs false npm-Linux-5)" ]
}

@test "several paths are a hit together; one may be in the home directory" {
	require_fuse
	export LARDER_CI_KEY=k1 LARDER_CI_PATH=$'  a\n\n~/b c  '
	mkdir -p one/a machines/one/home/b\ c
	make_xdg_dirs machines/one
	echo a >one/a/file
	echo b >machines/one/home/b\ c/file
	job one save
	[ "$(job two restore)" = "$(outputs true k1)" ]
	[ "$(cat two/a/file machines/two/home/b\ c/file)" = $'a\nb' ]
	on two "$LARDER" umount -q --discard machines/two/home/b\ c
	LARDER_CI_PATH=$'a\nnot-kept' run job three restore
	[ "$output" = "$(outputs false k1)" ]
}

@test "written out, looked up only, and a miss that fails" {
	export LARDER_CI_KEY=k1
	mkdir -p one/node_modules
	echo package >one/node_modules/a
	job one save
	[ "$(LARDER_CI_COPY=yes job two restore)" = "$(outputs true k1)" ]
	! mountpoint -q two/node_modules || false
	[ "$(cat two/node_modules/a)" = package ]
	[ "$(LARDER_CI_LOOKUP_ONLY=yes job three restore)" = \
		"$(outputs true k1)" ]
	[ ! -e three/node_modules ]
	export LARDER_CI_KEY=k2
	LARDER_CI_FAIL_ON_MISS=yes run job three restore
	[ "$status" -eq 1 ]
}

@test "a fault of the cache is not the job's" {
	export LARDER_CI_KEY=k1 LARDER_CI_COPY=yes
	export LARDER_CI_TIERS=local:rw,http://127.0.0.1:9:rw
	[ "$(job one restore)" = "$(outputs false '')" ]
	mkdir -p one/node_modules
	echo package >one/node_modules/a
	job one save
	LARDER=/nowhere/larder run job one restore
	[ "$status" -eq 0 ]
	[ "$output" = "$(outputs false '')" ]
	unset LARDER_CI_KEY
	run job one restore
	[ "$status" -eq 2 ]
}

@test "GitHub's outputs, Buildkite's hooks, GitLab's job" {
	require_fuse
	export BUILDKITE_PLUGIN_LARDER_PATH_0=node_modules
	export BUILDKITE_PLUGIN_LARDER_PATH_1=dist
	export BUILDKITE_PLUGIN_LARDER_KEY=k1
	export BUILDKITE_PLUGIN_LARDER_TIERS=$LARDER_CI_TIERS
	unset LARDER_CI_PATH LARDER_CI_TIERS
	mkdir -p one/node_modules one/dist
	echo package >one/node_modules/a
	step() {
		(cd "$1" && . "$scripts/buildkite/hooks/environment" &&
			on "$1" "$scripts/buildkite/hooks/$2")
	}
	BUILDKITE_COMMAND_EXIT_STATUS=1 step one post-command
	[ -z "$(ls share)" ]
	BUILDKITE_COMMAND_EXIT_STATUS=0 step one post-command
	mkdir two
	step two pre-command
	[ "$(cat two/node_modules/a)" = package ]
	mountpoint -q two/dist

	export LARDER_CI_KEY=k1 LARDER_CI_PATH=dist
	export LARDER_CI_TIERS=$BUILDKITE_PLUGIN_LARDER_TIERS
	mkdir three
	(cd three && GITHUB_OUTPUT=$PWD/gh on three env \
		GITHUB_ACTION_PATH="$scripts/github/restore" \
		bash -ec "$(line_of github/restore/action.yml run)")
	[ "$(cat three/gh)" = "$(outputs true k1)" ]
	echo more >three/dist/more
	(cd three && on three env LARDER_CI_KEY=k2 \
		GITHUB_ACTION_PATH="$scripts/github/save" \
		bash -ec "$(line_of github/save/action.yml run)")

	# A job of GitLab that failed keeps nothing. Where no tier is named, the
	# configured ones are taken.
	mkdir four
	configure four <<-END
	tiers: [{name: share, url: "file://$PWD/share", access: rw}]
	END
	export LARDER_CI_DIR=$scripts LARDER_CI_KEY=k3 LARDER_CI_TIERS=
	export LARDER_CI_RESTORE_KEYS=k2
	(cd four && on four sh -ec "$(line_of gitlab.yml before_script)")
	[ "$(cat four/dist/more)" = more ]
	for status in failed success; do
		(cd four && on four env CI_JOB_STATUS=$status \
			sh -ec "$(line_of gitlab.yml after_script)")
		[ "$(on four "$LARDER" list --remote --json |
			jq '[.entries[] | select(.key == "ci-k3")] | length')" \
			-eq "$([ "$status" = failed ] && echo 0 || echo 1)" ]
	done
}

# line_of FILE FIELD: the shell command that a template has there.
line_of() {
	sed -nE "/^ *$2:/,\$p" "$scripts/$1" |
		sed -nE "s/^ *(run:|-) '(.*)'\$/\2/p" | head -n 1
}

@test "the scripts are clean, and the templates name what is there" {
	need shellcheck python3
	shellcheck -x -P "$LARDER_SRCDIR" "$scripts"/{restore,save,cache.bash} \
		"$scripts"/buildkite/hooks/*
	# What the templates set is what the scripts read.
	for name in $(grep -rhoE '\<LARDER_CI_[A-Z_]+' "$scripts/github" \
		"$scripts/buildkite/hooks" | sort -u); do
		grep -qF "$name" "$scripts"/{restore,save,cache.bash}
	done
}

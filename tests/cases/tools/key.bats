#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Fingerprints: the same for the same inputs, another for any other.

load ../helpers

setup() {
	larder_setup
	mkdir -p src/deep
	echo a >src/a.c
	echo b >src/deep/b.c
	echo lock >package-lock.json
}

# differs COMMAND...: the fingerprint is another after COMMAND.
differs() {
	local before after
	before=$(larder key --key-file '**/*.c' --key-env SOME)
	"$@"
	after=$(larder key --key-file '**/*.c' --key-env SOME)
	[ "$before" != "$after" ]
}

@test "the same inputs give the same key, wherever they are" {
	key=$(larder key --key-file '**/*.c' --salt one --key-env SOME)
	[[ $key =~ ^[0-9a-f]{64}$ ]]
	cp -r src elsewhere-src
	mkdir elsewhere
	cp -r src elsewhere/
	touch -d 2001-01-01 elsewhere/src/a.c
	rm -r elsewhere-src
	mv elsewhere "$TMPDIR/"
	cd "$TMPDIR/elsewhere"
	[ "$(larder key --key-env SOME --salt one --key-file 'src/**/*.c')" = \
		"$key" ]
}

@test "content, names, new files, variables and salts make another" {
	differs sh -c 'echo c >src/a.c'
	differs mv src/a.c src/c.c
	differs sh -c ': >src/empty.c'
	differs export SOME=value
	differs export SOME=
	differs unset SOME
	one=$(larder key --salt one)
	[ "$one" != "$(larder key --salt two)" ]
	[ "$one" != "$(larder key --salt one --salt two)" ]
}

@test "what is not asked for makes no difference" {
	before=$(larder key --key-file 'src/*.c')
	echo c >src/deep/b.c
	echo c >src/other.h
	chmod +x src/a.c
	touch src/a.c
	[ "$(larder key --key-file 'src/*.c')" = "$before" ]
}

@test "a pattern that ends in ? may match nothing" {
	run larder key --key-file .npmrc
	[ "$status" -eq 1 ]
	[[ $output == *"'.npmrc?'"* ]]
	without=$(larder key --key-file package-lock.json)
	[ "$(larder key --key-file package-lock.json --key-file '.npmrc?')" = \
		"$without" ]
	echo registry >.npmrc
	with=$(larder key --key-file package-lock.json --key-file '.npmrc?')
	[ "$with" != "$without" ]
	[ "$with" = "$(larder key --key-file package-lock.json \
		--key-file .npmrc)" ]
	# The wildcard is still to be had, before another one.
	[ "$(larder key --key-file 'src/?.??')" = \
		"$(larder key --key-file 'src/a.c')" ]
	run larder key --key-file '?'
	[ "$status" -eq 2 ]
}

@test "the platform is a part, unless it is left out" {
	key=$(larder key --salt x)
	[ "$key" != "$(larder key --salt x --any-platform)" ]
	run larder key --explain --salt x
	[[ $output == *"$(uname -s | tr A-Z a-z)-$(uname -m)"* ]]
	run larder key --explain --salt x --any-platform
	[[ $output != *platform* ]]
	run larder key --any-platform
	[ "$status" -eq 2 ]
	run larder key --key x --any-platform
	[ "$status" -eq 2 ]
}

@test "--explain names the parts" {
	run larder key --explain --key-file 'src/**/*.c' --salt one
	[ "$status" -eq 0 ]
	[[ $output == *src/a.c* ]]
	[[ $output == *src/deep/b.c* ]]
	[[ $output == *"key "* ]]
	need jq
	run_json key --explain --key-file 'src/**/*.c' --salt one
	[ "$(json '[.parts[].kind] | sort | join(" ")')" = \
		'file file platform salt' ]
	[ "$(json '.parts[] | select(.name == "src/a.c") | .digest')" = \
		"$(sha256sum <src/a.c | cut -d' ' -f1)" ]
}

@test "a key of more parts than an entry can keep is a key all the same" {
	need jq
	dir=$(printf 'd%.0s' $(seq 250))
	deep=$PWD/many
	for _ in $(seq 12); do deep=$deep/$dir; done
	mkdir -p "$deep" tree
	(cd "$deep" && seq 5500 | xargs touch)
	run -0 --separate-stderr larder import tree --name x \
		--key-file 'many/**/*'
	[[ $stderr == *'the key has 5501 parts'*'larder why'* ]]
	[ "$output" = "x@$(larder key --key-file 'many/**/*')" ]
	[ "$(larder show x@latest --json | jq '.entry.parts | length')" -eq 0 ]
}

@test "a key of the user's own is the key" {
	[ "$(larder key --key release-1.2_3)" = release-1.2_3 ]
}

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

@test "--explain names the parts" {
	run larder key --explain --key-file 'src/**/*.c' --salt one
	[ "$status" -eq 0 ]
	[[ $output == *src/a.c* ]]
	[[ $output == *src/deep/b.c* ]]
	[[ $output == *"key "* ]]
	need jq
	run_json key --explain --key-file 'src/**/*.c' --salt one
	[ "$(json '[.parts[].kind] | sort | join(" ")')" = 'file file salt' ]
	[ "$(json '.parts[] | select(.name == "src/a.c") | .digest')" = \
		"$(sha256sum <src/a.c | cut -d' ' -f1)" ]
}

@test "a key of the user's own is the key" {
	[ "$(larder key --key release-1.2_3)" = release-1.2_3 ]
}

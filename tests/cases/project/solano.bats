#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The examples of Solano CI's documentation of incremental caching, as they
# stand: two cache blocks and the script that makes their keys.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need git jq
	mkdir shop
	cd shop || return
	git init -q .
	mkdir -p scripts app/assets
	cp "$LARDER_SRCDIR/tests/cases/project/calculate_key_hash.sh" scripts/
	chmod +x scripts/calculate_key_hash.sh
	echo gem >Gemfile
	echo lock >Gemfile.lock
	echo '{}' >package.json
	echo '{}' >bower.json
	echo style >app/assets/style.css
	printf '%s\n' public tmp node_modules bower_components >.gitignore
}

example() {
	cp "$LARDER_SRCDIR/tests/cases/project/solano-$1.yml" larder.yml
}

# The build's set-up: appends what it found to outcomes, and fills what is
# missing, as bundle install and npm install do.
build() {
	larder run -- sh -c '
		echo "$LARDER_OUTCOME ${LARDER_OUTCOME_CACHE-}" \
			"${LARDER_OUTCOME_RUBY-} ${LARDER_OUTCOME_NODE-}" \
			"${LARDER_OUTCOME_ASSETS-}" >>"$BATS_TEST_TMPDIR/outcomes"
		for d in "$HOME/bundle" "$HOME/.gem" node_modules \
			bower_components public/assets tmp/cache/assets
		do
			[ ! -d "$d" ] || echo made >>"$d/log"
		done'
}

last_outcome() {
	tail -n 1 "$BATS_TEST_TMPDIR/outcomes" | xargs
}

@test "first example: exact, one script's output changed, a key path changed" {
	example 1
	build
	[ "$(last_outcome)" = 'miss miss miss' ]
	[ "$(cat "$HOME/.gem/log" public/assets/log)" = $'made\nmade' ]

	build
	[ "$(last_outcome)" = 'exact exact exact' ]

	echo other >app/assets/style.css
	build
	[ "$(last_outcome)" = 'partial exact partial' ]

	echo other >Gemfile.lock
	build
	[ "$(last_outcome)" = 'partial partial partial' ]

	run_json list
	[ "$(json '[.entries[] | select(.name == "shop-cache")] | length')" = 2 ]
	[ "$(json '[.entries[] | select(.name == "shop-assets")] | length')" = 3 ]
}

@test "first example: another clone gets what the first one saved" {
	example 1
	build
	git add -A
	git -c user.name=t -c user.email=t@t commit -qm one
	cd ..
	git clone -q shop clone
	larder umount --discard "$HOME/bundle"
	larder umount --discard "$HOME/.gem"
	cd clone
	build
	[ "$(last_outcome)" = 'exact exact exact' ]
	[ "$(head -n 1 public/assets/log)" = made ]
	[ "$(head -n 1 tmp/cache/assets/log)" = made ]
	[ "$(head -n 1 "$HOME/bundle/log")" = made ]
}

@test "first example: an exact entry is not saved again" {
	example 1
	build
	build
	larder umount --discard public/assets
	larder umount --discard tmp/cache/assets
	build
	[ "$(last_outcome)" = 'exact exact exact' ]
	# What the first build saved, and this one's line.
	[ "$(wc -l <public/assets/log)" = 2 ]
}

@test "second example: each script is a key of its own, and [] is no default" {
	example 2
	build
	[ "$(last_outcome)" = 'miss miss miss miss' ]
	build
	[ "$(last_outcome)" = 'exact exact exact exact' ]
	# A default key path that the empty list took away.
	echo numpy >requirements.txt
	build
	[ "$(last_outcome)" = 'exact exact exact exact' ]
	echo '{ }' >package.json
	build
	[ "$(last_outcome)" = 'partial exact partial exact' ]
	echo gem2 >Gemfile
	build
	[ "$(last_outcome)" = 'partial partial exact exact' ]
}

@test "without key_paths, the default ones renew everything" {
	printf 'cache: {save_paths: [vendor]}\n' >larder.yml
	build
	build
	[ "$(last_outcome)" = 'exact exact' ]
	echo gem2 >Gemfile
	build
	[ "$(last_outcome)" = 'partial partial' ]
	echo numpy >requirements.txt
	build
	[ "$(last_outcome)" = 'partial partial' ]
}

@test "the newest of the branch comes before the newest" {
	example 2
	git checkout -q -b one
	git -c user.name=t -c user.email=t@t commit -q --allow-empty -m one
	larder run assets -- sh -c 'echo one >public/assets/branch'
	git checkout -q -b two
	echo two >app/assets/style.css
	larder run assets -- sh -c 'echo two >public/assets/branch'
	larder umount --discard public/assets
	larder umount --discard tmp/cache/assets
	git checkout -q one
	echo three >app/assets/style.css
	larder run assets -- sh -c 'cat public/assets/branch >seen'
	[ "$(cat seen)" = one ]
}

@test "a script that fails is an error that names it" {
	example 1
	printf '#!/bin/sh\necho broken >&2\nexit 3\n' \
		>scripts/calculate_key_hash.sh
	run larder run -- touch ran
	[ "$status" -eq 1 ]
	[[ "$output" == *calculate_key_hash.sh* ]]
	[ ! -e ran ]
}

@test "without a command, the sentence says where to put it" {
	example 1
	run larder run
	[ "$status" -eq 2 ]
	[[ "$output" == *'larder run -- COMMAND'* ]]
	printf '  command: echo made >public/assets/x\n' >>larder.yml
	larder run
	[ "$(cat public/assets/x)" = made ]
}

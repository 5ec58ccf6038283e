#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Entries of a shared directory that are believed, and those that are not: one
# machine signs, another one knows whom to trust, and somebody can write to the
# directory.

load ../helpers
load common

setup() {
	larder_setup
	share=$BATS_TEST_TMPDIR/share
	entries=$share/v1/local/default/entries
	forge=$LARDER_BUILDDIR/tests/cases/bin/forge_entry
	mkdir "$share"
	make_remote_tree tree
	ci=$("$LARDER" keygen -q ci.key)
	configure one <<-END
	tiers: [{name: share, url: "file://$share", access: rw}]
	sign-key: $PWD/ci.key
	END
	configure mallory <<-END
	tiers: [{name: share, url: "file://$share", access: rw}]
	END
	trusting "$ci"
}

# trusting KEY...: whom the second machine trusts.
trusting() {
	configure two <<-END
	tiers: [{name: share, url: "file://$share", access: rw}]
	trusted-keys: [$(printf '"%s", ' "$@")]
	END
}

# refused ENTRY: the second machine does not take it, and says why.
refused() {
	run on two "$LARDER" pull "$1"
	[ "$status" -eq 7 ]
	[[ $output == *"signed by no key of trusted-keys"* ]]
	run on two "$LARDER" show "$1" --tiers local:rw
	[ "$status" -eq 3 ]
}

@test "keygen: nobody else may read the key, and it is never overwritten" {
	[ "$(stat -c %a ci.key)" = 600 ]
	[[ $ci =~ ^ci:[A-Za-z0-9+/]{43}=$ ]]
	[ "$("$LARDER" keygen --public ci.key)" = "$ci" ]
	[ "$("$LARDER" keygen --public --json ci.key | jq -r .public_key)" = \
		"$ci" ]
	cp ci.key before
	run "$LARDER" keygen ci.key
	[ "$status" -eq 1 ]
	[[ $output == *"never overwritten"* ]]
	cmp ci.key before
	(umask 0 && "$LARDER" keygen -q --name release-1 open.key) |
		grep '^release-1:'
	[ "$(stat -c %a open.key)" = 600 ]
	run "$LARDER" keygen 'a b'
	[ "$status" -eq 2 ]
	[ ! -e 'a b' ]
}

@test "what a trusted key has signed is taken, and show says who it was" {
	on one "$LARDER" import tree --name web --key k1 --wait
	on two "$LARDER" pull web@k1
	on two "$LARDER" materialize web@k1 copy
	same_tree tree copy
	[[ "$(on two "$LARDER" show web@k1)" == *"signed by  ci (trusted)"* ]]
	[ "$(on two "$LARDER" show web@k1 --json |
		jq -c '.entry | [.signed_by, .trusted]')" = '[["ci"],true]' ]
	[ "$(on one "$LARDER" show web@k1 --json |
		jq -c '.entry | [.signed_by, .trusted]')" = '[["ci"],null]' ]
}

@test "what nobody has signed is a miss, told once and counted" {
	on mallory "$LARDER" import tree --name web --key k1 --wait
	on mallory "$LARDER" import tree --name web --key number-2 --wait
	refused web@k1
	refused web@number-2
	refused web@latest
	refused web@number
	log=$BATS_TEST_TMPDIR/machines/two/state/larder/larderd.log
	[ "$(grep -c 'has no valid signature of a trusted key' "$log")" -eq 1 ]
	[ "$(on two "$LARDER" stats --json | jq '.tiers[0].untrusted')" -ge 3 ]
	run on two "$LARDER" list --remote --json
	[ "$(jq -c '[.entries[].trusted]' <<<"$output")" = '[false,false]' ]
	# Where nobody has to be trusted, it is as it always was.
	on one "$LARDER" pull web@k1
}

@test "a run builds what it may not take, and with mode force it ends with 7" {
	require_fuse
	mkdir out
	on mallory "$LARDER" import tree --name web --key k1 --wait
	run on two "$LARDER" run --path out --name web --key k1 --mode force \
		-- touch out/file
	[ "$status" -eq 7 ]
	[[ $output == *"signed by no key of trusted-keys"* ]]
	[ ! -e out/file ]
	run on two "$LARDER" run --path out --name web --key k9 --mode force \
		-- true
	[ "$status" -eq 3 ]
	on two "$LARDER" run --path out --name web --key k1 --json \
		-- touch out/file >report
	[ "$(jq -r '.outcome' report)" = miss ]
	[ "$(ls out)" = file ]
	run on two "$LARDER" mount web@k2 out
	[ "$status" -eq 3 ]
}

@test "without FUSE, too" {
	mkdir out
	on mallory "$LARDER" import tree --name web --key k1 --wait
	run on two "$LARDER" run --path out --name web --key k1 --mode force \
		--materialize -- touch out/file
	[ "$status" -eq 7 ]
	[ ! -e out/file ]
}

@test "an older entry under a new key, another name, tenant or namespace" {
	on one "$LARDER" import tree --name web --key k1 --wait
	cp "$entries/web/k1" "$entries/web/k2"
	refused web@k2
	"$forge" "$entries/web/k2" key k2
	refused web@k2
	mkdir -p "$entries/app"
	cp "$entries/web/k1" "$entries/app/k1"
	refused app@k1
	"$forge" "$entries/app/k1" name app
	refused app@k1
	mkdir -p "$share/v1/local/other"
	cp -r "$share/v1/local/default/." "$share/v1/local/other"
	"$forge" "$share/v1/local/other/entries/web/k1" namespace other
	run on two "$LARDER" pull --namespace other web@k1
	[ "$status" -eq 7 ]
	mkdir -p "$share/v1/acme/default"
	cp -r "$share/v1/local/default/." "$share/v1/acme/default"
	"$forge" "$share/v1/acme/default/entries/web/k1" tenant acme
	run on two "$LARDER" pull --tenant acme web@k1
	[ "$status" -eq 7 ]
	# The one that was signed is as good as ever.
	on two "$LARDER" pull web@k1
}

# older ENTRY: what the tier has of it is not taken by the second machine, for
# another reason than its signature.
older() {
	run on two "$LARDER" pull "$1"
	[ "$status" -eq 7 ]
	[[ $output == *"older than what was here before"* ]]
}

@test "an older entry of the same key, to who has had a newer one" {
	require_fuse
	on one "$LARDER" import tree --name web --key k1 --wait
	cp "$entries/web/k1" old
	echo more >tree/more
	on one "$LARDER" import tree --name web --key k1 --wait
	cp "$entries/web/k1" new
	on two "$LARDER" pull web@k1
	cp old "$entries/web/k1"
	older web@k1
	on two "$LARDER" materialize web@k1 copy
	same_tree tree copy
	# Also when it is gone here, and the daemon is another one.
	on two "$LARDER" rm web@k1
	on two "$LARDER" daemon restart
	older web@k1
	mkdir out
	run on two "$LARDER" run --path out --name web --key k1 --mode force \
		-- touch out/file
	[ "$status" -eq 7 ]
	[[ $output == *"an older one than was here before"* ]]
	[ ! -e out/file ]
	run on two "$LARDER" mount web@k1 out
	[ "$status" -eq 7 ]
	grep -q 'web/k1 is older than what was here before' \
		"$BATS_TEST_TMPDIR/machines/two/state/larder/larderd.log"
	cp new "$entries/web/k1"
	on two "$LARDER" pull web@k1
	# A machine that has had neither cannot know, and one without keys does
	# not ask.
	cp old "$entries/web/k1"
	on mallory "$LARDER" pull web@k1
}

@test "an older entry as the newest of a branch, to who has had a newer one" {
	on one "$LARDER" import tree --name web --key k1 --branch main --wait
	cp -r "$share/v1/local/default/latest" before
	on one "$LARDER" import tree --name web --key k2 --branch main --wait
	on two "$LARDER" pull web@branch:main
	rm -r "$share/v1/local/default/latest"
	cp -r before "$share/v1/local/default/latest"
	# A pointer alone brings nothing back.
	on two "$LARDER" pull web@branch:main --json >out
	[ "$(jq -r .entry.key out)" = k2 ]
	mv "$entries/web/k2" away
	older web@branch:main
	older web@latest
	on two "$LARDER" rm web@k2
	older web@branch:main
	# Who names it gets it.
	on two "$LARDER" pull web@k1
	mv away "$entries/web/k2"
	on two "$LARDER" pull web@latest --json >out
	[ "$(jq -r .entry.key out)" = k2 ]
}

@test "an altered parent, branch, time or tree" {
	local field value
	on one "$LARDER" import tree --name web --key k1 --branch main --wait
	echo more >tree/more
	on one "$LARDER" import tree --name web --key k2 --wait
	cp "$entries/web/k1" sound
	while read -r field value; do
		cp sound "$entries/web/k1"
		"$forge" "$entries/web/k1" "$field" "$value"
		refused web@k1
	done <<-END
	parent k0
	branch release
	created 1
	signatures 0
	catalog $(on one "$LARDER" show web@k2 --json | jq -r .entry.catalog)
	END
	cp sound "$entries/web/k1"
	on two "$LARDER" pull web@k1
}

@test "a pointer to the newest leads to nothing that was not signed" {
	local latest
	on one "$LARDER" import tree --name web --key k1 --branch main --wait
	on mallory "$LARDER" import tree --name web --key k2 --branch main \
		--wait
	latest=$(grep -lr k2 "$share/v1/local/default/latest" | wc -l)
	[ "$latest" -eq 2 ]
	# The newest of those that were signed is another one.
	on two "$LARDER" pull web@latest --json >out
	[ "$(jq -r .entry.key out)" = k1 ]
	on two "$LARDER" pull web@branch:main --json >out
	[ "$(jq -r .entry.key out)" = k1 ]
	refused web@k2
	on one "$LARDER" rm --remote web@k1
	for entry in web@latest web@branch:main; do
		run on two "$LARDER" pull "$entry"
		[ "$status" -eq 7 ]
	done
	# Nor is an entry of another branch the newest of this one.
	on one "$LARDER" import tree --name web --key k3 --branch other --wait
	find "$share/v1/local/default/latest" -type f |
		while read -r file; do printf k3 >"$file"; done
	run on two "$LARDER" pull web@branch:main
	[ "$status" -eq 3 ]
	on two "$LARDER" pull web@latest
}

@test "keys take turns: both are trusted, and then the new one alone" {
	new=$("$LARDER" keygen -q new.key)
	on one "$LARDER" import tree --name web --key k1 --wait
	on one env LARDER_SIGN_KEY_FILE="$PWD/new.key" \
		"$LARDER" import tree --name web --key k2 --wait
	trusting "$ci" "$new"
	on two "$LARDER" pull web@k1
	on two "$LARDER" pull web@k2
	on two "$LARDER" rm web@k1
	trusting "$new"
	refused web@k1
	# Signed again, with the new one beside the old one.
	on one env LARDER_SIGN_KEY="$(cat new.key)" "$LARDER" push web@k1
	on two "$LARDER" pull web@k1
	[ "$(on two "$LARDER" show web@k1 --json | jq -c .entry.signed_by)" = \
		'["ci","new"]' ]
}

@test "a key for some namespaces counts in those" {
	other=$("$LARDER" keygen -q other.key)
	configure two <<-END
	tiers: [{name: share, url: "file://$share"}]
	trusted-keys:
	  - {key: "$ci", namespaces: [a, b]}
	  - {key: "$other", namespaces: [b, c], tenants: [local]}
	END
	for namespace in a b c d; do
		on one "$LARDER" import tree --name web --key k1 --wait \
			--namespace "$namespace"
	done
	on two "$LARDER" pull web@k1 --namespace a
	on two "$LARDER" pull web@k1 --namespace b
	run on two "$LARDER" pull web@k1 --namespace c
	[ "$status" -eq 7 ]
	# No key is for this one, so that none is needed.
	on two "$LARDER" pull web@k1 --namespace d
}

@test "a secret key that others can read signs nothing" {
	chmod 640 ci.key
	run on one "$LARDER" import tree --name web --key k1
	[ "$status" -eq 7 ]
	[[ $output == *"chmod 600"* ]]
	run on one "$LARDER" show web@k1
	[ "$status" -eq 3 ]
	run "$LARDER" keygen --public ci.key
	[ "$status" -eq 7 ]
	chmod 600 ci.key
	echo nonsense >ci.key
	run on one "$LARDER" import tree --name web --key k1
	[ "$status" -eq 7 ]
	[[ $output != *nonsense* ]]
}

@test "a run goes on without a signature, and push makes up for it" {
	require_fuse
	mkdir out
	chmod 640 ci.key
	run on one "$LARDER" run --path out --name web --key k1 -- touch out/file
	[ "$status" -eq 0 ]
	[[ $output == *"will not be signed"* ]]
	wait_until uploaded one
	refused web@k1
	chmod 600 ci.key
	on one "$LARDER" push web@k1
	on two "$LARDER" pull web@k1
}

uploaded() {
	[ "$(on "$1" "$LARDER" status --json | jq '.uploads | length')" -eq 0 ]
}

@test "no secret is in the queue, the log, the settings or the daemon" {
	secret=$(sed 's/.*://' ci.key)
	mv "$share" away
	on one env LARDER_SIGN_KEY="$(cat ci.key)" \
		"$LARDER" import tree --name web --key k1
	! grep -r -F "$secret" "$BATS_TEST_TMPDIR/machines"
	pid=$(on one "$LARDER" status --json | jq .worker_pid)
	! grep -q -F "$secret" "/proc/$pid/environ"
	on one env LARDER_SIGN_KEY="$(cat ci.key)" "$LARDER" config --origin >out
	! grep -F "$secret" out
	grep 'sign-key = .*environment: LARDER_SIGN_KEY' out
	on one "$LARDER" config --origin sign-key |
		grep "sign-key = $PWD/ci.key  (.*config.yml:2)"
	on two "$LARDER" config --origin trusted-keys |
		grep -F "$ci" | grep 'config.yml:2'
	mv away "$share"
}

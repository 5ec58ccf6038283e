#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Entries shared by machines through an S3 bucket, on a server that verifies
# signatures.

load ../helpers
load common
load swift

setup() {
	larder_setup
	swift=$BATS_TEST_TMPDIR/swift
	need curl jq
	need_swift
	swift_start
	make_remote_tree tree
}

teardown() {
	swift_stop
	machines_teardown
}

@test "push, list, pull and remove, and nothing goes without a right signature" {
	printf '%s\n' "$SWIFT_KEY" "$SWIFT_SECRET" >keys
	url="s3://cache/some/prefix?endpoint=$endpoint"
	export AWS_ACCESS_KEY_ID=$SWIFT_KEY
	export AWS_SECRET_ACCESS_KEY=$SWIFT_SECRET
	# The proxy answers before the servers behind it do.
	wait_until -t 60 swift_bucket cache 2>/dev/null
	on one "$LARDER" import tree --name web --key k1
	on one "$LARDER" push --to "$url" web@k1
	on one "$LARDER" push --to "$url" web@k1 --json >out
	[ "$(jq '.uploads[0].packs_moved' out)" -eq 0 ]
	on two "$LARDER" list --remote --tiers "$url:r" --json >out
	[ "$(jq -r '.entries[].key' out)" = k1 ]
	on two "$LARDER" pull --from "$url" web@latest
	on two "$LARDER" materialize web@k1 copy
	same_tree tree copy
	on one "$LARDER" gc --remote --tiers "$url:rw" --json >out
	[ "$(jq -r '.waiting, .removed_bytes, .objects' out | xargs)" = "0 0 2" ]
	head -c 100000 /dev/urandom >tree/more
	on one "$LARDER" import tree --name web --key k9
	on one "$LARDER" push --to "$url" web@k9
	on one "$LARDER" rm --remote --tiers "$url:rw" web@k9
	on one "$LARDER" gc --remote --tiers "$url:rw" --json >out
	[ "$(jq .waiting out)" -eq 2 ]
	on one "$LARDER" gc --remote --tiers "$url:rw" --grace 0 --json >out
	[ "$(jq .removed_packs,.removed_trees out | xargs)" = "1 1" ]
	rm tree/more
	on five "$LARDER" pull --from "$url" web@k1
	run on two "$LARDER" pull --from "$url" web@k2
	[ "$status" -eq 3 ]

	on one "$LARDER" import tree --name web --key k2
	on one "$LARDER" push --to "$url" web@k2
	on one "$LARDER" rm --remote --tiers "$url:rw" web@k2
	run on five "$LARDER" pull --from "$url" web@k2
	[ "$status" -eq 3 ]

	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	on three "$LARDER" pull --from "$url&credentials=$PWD/keys" web@k1
	run on four "$LARDER" pull --from "$url" web@k1
	[ "$status" -eq 6 ]
	printf '%s\n' "$SWIFT_KEY" wrong >keys
	run on four "$LARDER" pull --from "$url&credentials=$PWD/keys" web@k1
	[ "$status" -eq 6 ]
	[[ $output == *refused* ]]
}

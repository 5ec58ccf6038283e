#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Entries shared by machines through a web server: nginx with its DAV module,
# on loopback.

load ../helpers
load common
load nginx

setup() {
	larder_setup
	need_nginx
	need openssl jq curl
	make_remote_tree tree
}

teardown() {
	stop_nginx
	machines_teardown
}

# Pushes an entry k1 from machine one; the rest are options.
import_and_push() {
	on one "$LARDER" import tree --name web --key k1 "$@" >/dev/null
	on one "$LARDER" push --to "$url" web@k1
}

check_copy() {
	on "$1" "$LARDER" materialize web@k1 "copy-$1"
	same_tree tree "copy-$1"
}

@test "push and pull, and nothing is sent twice" {
	start_nginx
	url=http://127.0.0.1:$port/some/prefix
	import_and_push
	[ -d "$web/root/some/prefix/v1/local/default/packs" ]
	on one "$LARDER" push --to "$url" --json web@k1 >out
	[ "$(jq '.uploads[0].packs_moved' out)" -eq 0 ]
	on two "$LARDER" pull --from "$url" web@k1
	check_copy two
	run on three "$LARDER" pull --from "$url" web@k2
	[ "$status" -eq 3 ]
}

@test "requests share connections" {
	start_nginx
	url=http://127.0.0.1:$port
	import_and_push
	on two "$LARDER" pull --from "$url" web@k1
	wait_until grep -q 'GET .*packs' "$web/access.log"
	requests=$(wc -l <"$web/access.log")
	connections=$(awk '{ print $NF }' "$web/access.log" | sort -u | wc -l)
	echo "$requests requests, $connections connections"
	[ "$requests" -ge 8 ]
	# One a machine, and one more where two requests were under way at once.
	[ "$connections" -le 4 ]
}

@test "no object is in memory whole" {
	start_nginx
	url=http://127.0.0.1:$port
	mkdir large
	# What cannot be compressed, in several packs.
	for i in 1 2 3; do
		head -c 30000000 /dev/urandom >"large/$i"
	done
	on one "$LARDER" import large --name web --key k1
	on one "$LARDER" daemon restart
	on one "$LARDER" push --to "$url" web@k1
	echo "$(peak_of one) KiB"
	[ "$(peak_of one)" -lt 50000 ]
	on two "$LARDER" pull --from "$url" web@k1
	echo "$(peak_of two) KiB"
	[ "$(peak_of two)" -lt 50000 ]
	on two "$LARDER" cat web@k1 2 | cmp - large/2
}

# peak_of MACHINE: the most memory that its worker had, in KiB.
peak_of() {
	awk '/^VmHWM/ { print $2 }' \
		"/proc/$(on "$1" "$LARDER" status --json | jq .worker_pid)/status"
}

@test "a mount takes an entry from the server" {
	require_fuse
	start_nginx
	url=http://127.0.0.1:$port
	import_and_push
	mkdir mnt
	on two "$LARDER" mount --from "$url" web@latest mnt
	same_tree tree mnt
	on two "$LARDER" umount mnt
}

@test "a listing is refused by name, and does not look like an empty one" {
	start_nginx
	run on one "$LARDER" list --remote --tiers "http://127.0.0.1:$port:r"
	[ "$status" -eq 6 ]
	[[ $output == *"cannot be listed"* ]]
	run on one "$LARDER" gc --remote --tiers "http://127.0.0.1:$port:rw"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot be collected from here"* ]]
	[ ! -e "$web/root/v1" ]
}

@test "the layout of Bazel-style servers" {
	start_nginx
	url="http://127.0.0.1:$port/?layout=bazel"
	import_and_push
	[ "$(find "$web/root" -type f -printf '%h\n' | sort -u)" = \
		"$web/root/ac"$'\n'"$web/root/cas" ]
	for blob in "$web"/root/cas/*; do
		[ "$(sha256sum <"$blob")" = "${blob##*/}  -" ]
	done
	on two "$LARDER" pull --from "$url" web@k1
	check_copy two
}

@test "a server that is down, full, or fails: said, and no build fails" {
	require_fuse
	local code word
	for code in 500 413 507 403; do
		start_nginx "location / { return $code; }"
		mkdir "out-$code"
		on one "$LARDER" run --path "out-$code" --name "web-$code" \
			--key k1 --tiers "local:rw,http://127.0.0.1:$port:rw" \
			-- touch "out-$code/file"
		run on one "$LARDER" push --to "http://127.0.0.1:$port" \
			"web-$code@k1"
		[ "$status" -eq 6 ]
		case $code in
		413 | 507) word="full or too large" ;;
		403) word=refused ;;
		*) word="HTTP status 500" ;;
		esac
		[[ $output == *"$word"* ]] || [[ $output == *"left alone"* ]]
		stop_nginx
	done
	mkdir out
	on one "$LARDER" run --path out --name web --key k1 \
		--tiers "local:rw,http://127.0.0.1:$port:rw" -- touch out/file
	run on one "$LARDER" push --to "http://127.0.0.1:$port" web@k1
	[ "$status" -eq 6 ]
}

@test "a server without ranges, and one that lies about lengths" {
	start_nginx "max_ranges 0;"
	url=http://127.0.0.1:$port
	import_and_push
	on two "$LARDER" pull --from "$url" web@k1
	check_copy two
	find "$web/root" -path '*/packs/*' -type f -exec truncate -s -10 {} +
	run on three "$LARDER" pull --from "$url" web@k1
	[ "$status" -eq 7 ]
	find "$web/root" -path '*/trees/*' -type f \
		-exec sh -c 'head -c 1000000 /dev/zero >>"$1"' sh {} \;
	run on four "$LARDER" pull --from "$url" web@k1
	[ "$status" -eq 7 ]
}

# make_certificate NAME: of an authority of its own.
make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		-nodes -days 2 -keyout "$1.key" -out "$1.crt" \
		-subj "/CN=$1" -addext "subjectAltName=IP:127.0.0.1" \
		2>/dev/null
}

@test "TLS is verified, and a client's certificate is shown" {
	make_certificate server
	make_certificate client
	listen="ssl http2"
	start_nginx "ssl_certificate $PWD/server.crt;" \
		"ssl_certificate_key $PWD/server.key;" \
		"ssl_client_certificate $PWD/client.crt;" \
		"ssl_verify_client on;"
	url=https://127.0.0.1:$port
	on one "$LARDER" import tree --name web --key k1
	run on one "$LARDER" push --to "$url" web@k1
	[ "$status" -eq 6 ]
	[[ $output == *certificate* ]]
	run on one "$LARDER" push --to "$url?ca=$PWD/server.crt" web@k1
	[ "$status" -eq 6 ]
	url="$url?ca=$PWD/server.crt&certificate=$PWD/client.crt"
	url="$url&certificate-key=$PWD/client.key"
	on one "$LARDER" push --to "$url" web@k1
	grep -q 'HTTP/2.0" 201' "$web/access.log"
	on two "$LARDER" pull --from "$url" web@k1
	check_copy two
}

@test "bearer tokens: from the environment, a file, a helper; never in a log" {
	start_nginx 'if ($http_authorization != "Bearer s3cret-token") {' \
		'return 401; }'
	url=http://127.0.0.1:$port
	on one "$LARDER" import tree --name web --key k1
	run on one "$LARDER" push --to "$url" web@k1
	[ "$status" -eq 6 ]
	LARDER_TOKEN=s3cret-token on one "$LARDER" push --to "$url" web@k1
	echo s3cret-token >token
	on two "$LARDER" pull --from "$url?token-file=$PWD/token" web@k1
	cat >helper <<-END
	#!/bin/sh
	cat $PWD/token
	END
	chmod 755 helper
	on three "$LARDER" pull --from "$url?credential-helper=$PWD/helper" \
		web@k1
	check_copy three
	run ! grep -r s3cret-token "$BATS_TEST_TMPDIR/machines"
}

@test "a token of the daemon's environment serves it after it was killed" {
	require_fuse
	start_nginx 'if ($http_authorization != "Bearer s3cret-token") {' \
		'return 403; }'
	for machine in two three; do
		configure "$machine" <<-END
		tiers: [{name: web, url: "http://127.0.0.1:$port", access: rw}]
		END
	done
	LARDER_TOKEN_WEB=wrong on two "$LARDER" import tree --name web --key k1
	wait_until refused_once
	kill -KILL $(on two "$LARDER" status --json | jq '.pid, .worker_pid')
	LARDER_TOKEN_WEB=s3cret-token on two "$LARDER" status >/dev/null
	wait_until queue_is_empty
	mkdir mnt
	LARDER_TOKEN_WEB=s3cret-token on three "$LARDER" mount web@k1 mnt
	kill -KILL "$(on three "$LARDER" status --json | jq .worker_pid)"
	same_tree tree mnt
	[ "$(on three "$LARDER" stats mnt --json |
		jq '.mounts[0].remote.fetches.wanted')" -ge 1 ]
	on three "$LARDER" umount mnt
}

@test "a token that comes with one upload serves those that wait for the same tiers" {
	start_nginx 'if ($http_authorization != "Bearer s3cret-token") {' \
		'return 403; }'
	configure two <<-END
	tiers: [{name: web, url: "http://127.0.0.1:$port", access: rw}]
	END
	LARDER_TOKEN_WEB=s3cret-token on two "$LARDER" import tree --name web \
		--key k1 --wait
	on two "$LARDER" import tree --name web --key k2
	wait_until refused_once
	LARDER_TOKEN_WEB=s3cret-token on two "$LARDER" import tree --name web \
		--key k3 --wait
	wait_until queue_is_empty
	LARDER_TOKEN=s3cret-token on one "$LARDER" pull \
		--from "http://127.0.0.1:$port" web@k2
}

@test "a token that came with a mount serves it after its worker was killed" {
	require_fuse
	start_nginx 'if ($http_authorization != "Bearer s3cret-token") {' \
		'return 403; }'
	for machine in two three; do
		configure "$machine" <<-END
		tiers: [{name: web, url: "http://127.0.0.1:$port", access: rw}]
		END
	done
	LARDER_TOKEN_WEB=s3cret-token on two "$LARDER" import tree --name web \
		--key k1 --wait
	# A daemon that has no token of its own.
	on three "$LARDER" status >/dev/null
	mkdir mnt other
	LARDER_TOKEN_WEB=s3cret-token on three "$LARDER" mount web@k1 mnt
	# What another mount came with is not this one's.
	on three "$LARDER" mount --empty other
	for round in 1 2; do
		kill -KILL "$(on three "$LARDER" status --json | jq .worker_pid)"
		wait_until served_again
	done
	same_tree tree mnt
	[ "$(on three "$LARDER" stats mnt --json |
		jq '.mounts[0].remote.fetches.wanted')" -ge 1 ]
	# One that is mounted anew by a reset has it, too.
	touch mnt/new
	on three "$LARDER" commit mnt --name web --key k2 --wait --tiers local:rw
	on three "$LARDER" reset mnt
	kill -KILL "$(on three "$LARDER" status --json | jq .worker_pid)"
	wait_until served_again
	run ! grep -r s3cret-token "$BATS_TEST_TMPDIR/machines"
	pid=$(on three "$LARDER" status --json | jq .pid)
	[ "$(id -u)" -ne 0 ] || [ "$(secrets_of "$pid")" -eq 1 ]
	on three "$LARDER" umount --discard mnt
	[ "$(secrets_of "$pid")" -eq 0 ]
	on three "$LARDER" umount other
}

served_again() {
	on three "$LARDER" status --json | jq -e '.mounts | length == 2'
}

# secrets_of PID: how many files of secrets the process has open, which only root
# can see.
secrets_of() {
	find "/proc/$1/fd" -lname '/memfd:tiers*' 2>/dev/null | wc -l
}

@test "a token that came with an upload serves it after its worker was killed" {
	start_nginx 'if ($http_authorization != "Bearer s3cret-token") {' \
		'return 403; }'
	configure two <<-END
	tiers: [{name: web, url: "http://127.0.0.1:$port", access: rw}]
	END
	on two "$LARDER" status >/dev/null
	# The server is away when it comes.
	nginx -c "$web/conf" -p "$web" -s stop
	wait_until no_nginx
	LARDER_TOKEN_WEB=s3cret-token on two "$LARDER" import tree --name web \
		--key k1
	wait_until refused_once
	pid=$(on two "$LARDER" status --json | jq .pid)
	[ "$(secrets_of "$pid")" -eq 1 ]
	kill -KILL "$(on two "$LARDER" status --json | jq .worker_pid)"
	nginx -c "$web/conf" -p "$web" 2>"$web/start.log" 3>&-
	wait_until queue_is_empty
	[ "$(on two "$LARDER" status --json | jq .pid)" -eq "$pid" ]
	[ "$(secrets_of "$pid")" -eq 0 ]
	LARDER_TOKEN=s3cret-token on one "$LARDER" pull \
		--from "http://127.0.0.1:$port" web@k1
}

@test "a wrong token of one upload costs those that wait nothing" {
	start_nginx 'if ($http_authorization != "Bearer s3cret-token") {' \
		'return 403; }'
	configure two <<-END
	tiers: [{name: web, url: "http://127.0.0.1:$port", access: rw}]
	END
	on two "$LARDER" import tree --name web --key k1
	wait_until refused_once
	before=$(first_upload)
	seen=$(grep -c 'Bearer\|403' "$web/access.log")
	LARDER_TOKEN_WEB=wrong run on two "$LARDER" import tree --name web \
		--key k2 --wait
	[ "$status" -eq 6 ]
	# It was tried with the wrong one, and is as it was before.
	wait_until lent_and_back
	[ "$(first_upload)" = "$before" ]
	LARDER_TOKEN_WEB=s3cret-token on two "$LARDER" import tree --name web \
		--key k3 --wait
	wait_until queue_is_empty
}

first_upload() {
	on two "$LARDER" status --json |
		jq -c '.uploads[0] | [.key, .attempts, .error]'
}

lent_and_back() {
	[ "$(grep -c 403 "$web/access.log")" -ge $((seen + 2)) ] &&
		on two "$LARDER" status --json |
		jq -e '[.uploads[].running] == [false, false]'
}

refused_once() {
	on two "$LARDER" status --json | jq -e '.uploads[0].attempts >= 1'
}

queue_is_empty() {
	on two "$LARDER" status --json | jq -e '.uploads == []'
}

@test "a token in the environment waits in no file of the upload queue" {
	start_nginx 'return 401;'
	run env LARDER_TOKEN=s3cret-token bash -c "
		$(declare -f on make_xdg_dirs xdg_dirs)
		on one '$LARDER' import tree --name web --key k1 \
			--tiers 'local:rw,http://127.0.0.1:$port:rw' --wait"
	[ "$status" -eq 6 ]
	[ -n "$(ls machines/one/state/larder/uploads)" ]
	run ! grep -r s3cret-token "$BATS_TEST_TMPDIR/machines"
}

@test "a redirect is followed" {
	start_nginx 'location ~ ^/moved/(.*) { return 307 /new/$1; }'
	url=http://127.0.0.1:$port/moved
	import_and_push
	[ -d "$web/root/new/v1" ]
	on two "$LARDER" pull --from "$url" web@k1
	check_copy two
}

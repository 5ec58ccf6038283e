# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# OpenStack Swift with s3api and tempauth, as an S3 server that verifies
# signatures and hashes: four processes and one-node rings in directory $swift.
# Swift reads /etc/swift/swift.conf wherever its other files are, so the servers
# run in a mount namespace with a directory of theirs in that place. Loaded
# behind helpers.

SWIFT_KEY=test:tester
SWIFT_SECRET=testing

need_swift() {
	need swift-proxy-server swift-ring-builder unshare setfattr
	[ -d /etc/swift ] || skip "/etc/swift is not there"
	mkdir -p "$swift"/{etc,node/sda1,run}
	setfattr -n user.x -v y "$swift/node" 2>/dev/null ||
		skip "the file system of the tests has no user attributes"
	(swift_exec true) 2>/dev/null || skip "no mount namespace can be made"
}

# swift_exec COMMAND... becomes it, with the same process id, so that a server
# can be ended by that.
swift_exec() {
	local flags=(-m)
	[ "$(id -u)" -eq 0 ] || flags=(-m -r)
	exec unshare "${flags[@]}" -- sh -c \
		'mount --bind "$1/etc" /etc/swift && shift && exec "$@"' \
		sh "$swift" "$@"
}

# swift_conf KIND PORT: of a storage server.
swift_conf() {
	cat >"$swift/etc/$1-server.conf" <<-END
	[DEFAULT]
	bind_ip = 127.0.0.1
	bind_port = $2
	user = $(id -un)
	workers = 0
	mount_check = false
	devices = $swift/node
	swift_dir = $swift/etc
	log_address = $swift/log
	[pipeline:main]
	pipeline = $1-server
	[app:$1-server]
	use = egg:swift#$1
	END
	(
		cd "$swift/etc" || exit
		swift-ring-builder "$1.builder" create 4 1 1
		swift-ring-builder "$1.builder" add \
			"r1z1-127.0.0.1:$2/sda1" 1
		swift-ring-builder "$1.builder" rebalance
	) >/dev/null
}

swift_proxy_conf() {
	cat >"$swift/etc/proxy-server.conf" <<-END
	[DEFAULT]
	bind_ip = 127.0.0.1
	bind_port = $1
	user = $(id -un)
	workers = 0
	swift_dir = $swift/etc
	log_address = $swift/log
	[pipeline:main]
	pipeline = catch_errors gatekeeper cache listing_formats s3api tempauth copy slo proxy-server
	[app:proxy-server]
	use = egg:swift#proxy
	allow_account_management = true
	account_autocreate = true
	[filter:tempauth]
	use = egg:swift#tempauth
	user_test_tester = $SWIFT_SECRET .admin
	[filter:s3api]
	use = egg:swift#s3api
	location = us-east-1
	[filter:cache]
	use = egg:swift#memcache
	memcache_servers = 127.0.0.1:9
	[filter:catch_errors]
	use = egg:swift#catch_errors
	[filter:gatekeeper]
	use = egg:swift#gatekeeper
	[filter:listing_formats]
	use = egg:swift#listing_formats
	[filter:copy]
	use = egg:swift#copy
	[filter:slo]
	use = egg:swift#slo
	END
}

# swift_start leaves the address in $endpoint.
swift_start() {
	local base=$((20000 + RANDOM % 20000)) kind n=0
	endpoint=http://127.0.0.1:$base
	printf '[swift-hash]\nswift_hash_path_suffix = larder\n' \
		>"$swift/etc/swift.conf"
	for kind in account container object; do
		n=$((n + 1))
		swift_conf "$kind" $((base + n))
	done
	swift_proxy_conf "$base"
	for kind in account container object proxy; do
		swift_exec "swift-$kind-server" \
			"$swift/etc/$kind-server.conf" \
			>"$swift/run/$kind.log" 2>&1 3>&- &
		echo $! >"$swift/run/$kind.pid"
	done
	wait_until -t 60 swift_answers
}

swift_answers() {
	[ "$(curl -s -o /dev/null -w '%{http_code}' "$endpoint/")" != 000 ]
}

swift_is_gone() {
	! kill -0 "$1" 2>/dev/null
}

swift_stop() {
	local pid
	[ -n "${swift:-}" ] || return 0
	for pid in "$swift"/run/*.pid; do
		[ -e "$pid" ] || continue
		kill "$(cat "$pid")" 2>/dev/null || true
		wait_until -t 30 swift_is_gone "$(cat "$pid")"
	done
}

# swift_bucket NAME makes a bucket. The access key has a colon, which curl's
# --user does not take, so the request is signed here.
swift_bucket() {
	python3 - "$endpoint" "$1" "$SWIFT_KEY" "$SWIFT_SECRET" <<-'END'
	import datetime, hashlib, hmac, sys, urllib.request
	endpoint, bucket, key, secret = sys.argv[1:]
	now = datetime.datetime.utcnow().strftime('%Y%m%dT%H%M%SZ')
	scope = now[:8] + '/us-east-1/s3/aws4_request'
	empty = hashlib.sha256(b'').hexdigest()
	names = 'host;x-amz-content-sha256;x-amz-date'
	canonical = '\n'.join(['PUT', '/' + bucket, '',
	    'host:' + endpoint[7:], 'x-amz-content-sha256:' + empty,
	    'x-amz-date:' + now, '', names, empty])
	text = '\n'.join(['AWS4-HMAC-SHA256', now, scope,
	    hashlib.sha256(canonical.encode()).hexdigest()])
	k = ('AWS4' + secret).encode()
	for part in scope.split('/'):
	    k = hmac.new(k, part.encode(), hashlib.sha256).digest()
	sign = hmac.new(k, text.encode(), hashlib.sha256).hexdigest()
	urllib.request.urlopen(urllib.request.Request(
	    endpoint + '/' + bucket, method='PUT', headers={
	    'x-amz-date': now, 'x-amz-content-sha256': empty,
	    'Authorization': 'AWS4-HMAC-SHA256 Credential=' + key + '/'
	    + scope + ', SignedHeaders=' + names + ', Signature=' + sign}))
	END
}

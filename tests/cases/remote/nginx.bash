# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx with its DAV module on loopback, with its files in $web and what it
# serves in $web/root. Loaded behind helpers; a file that uses it calls
# stop_nginx in its teardown.

need_nginx() {
	PATH=$PATH:/usr/sbin
	need nginx
	web=$BATS_TEST_TMPDIR/web
	mkdir -p "$web/root"
	# Its workers are another user's where root runs it.
	chmod 755 "$BATS_TEST_TMPDIR"
}

stop_nginx() {
	[ ! -s "${web:-}/pid" ] || kill "$(cat "$web/pid")"
	wait_until no_nginx
}

no_nginx() {
	[ ! -e "${web:-}/pid" ]
}

# start_nginx [DIRECTIVE...]: in the server's block. Leaves in $port one that
# was free. A line of its log ends with the status and the connection's number.
start_nginx() {
	local tries=0
	until try_nginx "$@"; do
		tries=$((tries + 1))
		[ "$tries" -lt 20 ] || return
	done
	wait_until test -s "$web/pid"
}

try_nginx() {
	port=$((20000 + RANDOM % 20000))
	: "${listen=}" "${address=127.0.0.1}"
	cat >"$web/conf" <<-END
	pid $web/pid;
	error_log $web/error.log;
	$([ "$(id -u)" -ne 0 ] || echo "user root;")
	events { }
	http {
		log_format line '\$remote_addr "\$request" \$status '
			'\$connection';
		access_log $web/access.log line;
		client_body_temp_path $web/body;
		proxy_temp_path $web/proxy;
		fastcgi_temp_path $web/fastcgi;
		uwsgi_temp_path $web/uwsgi;
		scgi_temp_path $web/scgi;
		client_max_body_size 100m;
		server {
			listen $address:$port $listen;
			root $web/root;
			dav_methods PUT DELETE;
			create_full_put_path on;
			$(printf '%s\n' "$@")
		}
	}
	END
	nginx -c "$web/conf" -p "$web" 2>"$web/start.log" 3>&-
}

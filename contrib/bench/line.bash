# shellcheck shell=bash disable=SC2154 # bench_dir, quick: of the scripts
# SPDX-License-Identifier: Apache-2.0
#
# A web server with an entry and a tar.zst of one tree, a slow line to it, and
# machines that have nothing yet. Sourced by remote.

ROUND_TRIP_MS=20
BYTES_PER_SECOND=25000000 # 200 Mbit/s

# line_up leaves the server's address in $near, the line's in $far.
line_up() {
	local web=$bench_dir/web port
	mkdir -p "$web/root"
	chmod 755 "$bench_dir"
	ln "$(tree_tar_zst)" "$web/root/tree.tar.zst" 2>/dev/null ||
		cp "$(tree_tar_zst)" "$web/root/tree.tar.zst"
	port=$((20000 + RANDOM % 20000))
	cat >"$web/conf" <<-END
	daemon off;
	pid $web/pid;
	error_log $web/error.log;
	$([ "$(id -u)" -ne 0 ] || echo "user root;")
	events { }
	http {
		access_log off;
		client_body_temp_path $web/body;
		proxy_temp_path $web/proxy;
		fastcgi_temp_path $web/fastcgi;
		uwsgi_temp_path $web/uwsgi;
		scgi_temp_path $web/scgi;
		client_max_body_size 0;
		keepalive_requests 100000;
		server {
			listen 127.0.0.1:$port;
			root $web/root;
			dav_methods PUT DELETE;
			create_full_put_path on;
		}
	}
	END
	PATH=$PATH:/usr/sbin nginx -c "$web/conf" -p "$web" \
		2>"$web/start.log" &
	nginx_pid=$!
	near=http://127.0.0.1:$port
	until curl -sf -o "$bench_dir/tar.zst" "$near/tree.tar.zst"; do
		kill -0 "$nginx_pid"
		sleep 0.1
	done
	slow_line "$port"
	far=http://127.0.0.1:$(head -n 1 "$bench_dir/line.out")
	publish
}

slow_line() {
	"${CC:-cc}" -O2 -D_GNU_SOURCE -o "$bench_dir/netproxy" \
		"$bench_top/tests/cases/bin/netproxy.c"
	mkfifo "$bench_dir/line.in"
	"$bench_dir/netproxy" "$ROUND_TRIP_MS" "$BYTES_PER_SECOND" "$1" \
		<"$bench_dir/line.in" >"$bench_dir/line.out" &
	exec {line_fd}>"$bench_dir/line.in"
	until [ -s "$bench_dir/line.out" ]; do sleep 0.05; done
}

line_end() {
	[ -z "${nginx_pid:-}" ] || kill "$nginx_pid" 2>/dev/null || :
	[ -z "${line_fd:-}" ] || exec {line_fd}>&-
}

# The entry, from a machine near the server.
publish() {
	machine
	"$LARDER" import -q "$(tree)" --name bench --key k1
	"$LARDER" push -q --to "$near" bench@k1
	machine_end
}

# machine: another one, with nothing, and a project at which this shell is.
# The files of its project that are no node_modules are there.
machine() {
	local dir=$bench_dir/machine
	export XDG_CACHE_HOME=$dir/cache XDG_STATE_HOME=$dir/state
	export XDG_RUNTIME_DIR=$dir/run XDG_CONFIG_HOME=$dir/config
	mkdir -p "$dir/project/node_modules"
	mkdir -m 0700 "$dir/run"
	cd "$dir/project" || return
	write_project
}

machine_end() {
	cd "$bench_dir" || return
	! mountpoint -q machine/project/node_modules ||
		"$LARDER" umount -q --discard machine/project/node_modules
	"$LARDER" daemon stop >/dev/null 2>&1 || :
	rm -rf --one-file-system machine
}

# A program of which webpack reads about a tenth of the tree's files, and parses
# few: what webpack does itself is not what is measured.
write_project() {
	local icons
	[ -z "$quick" ] || return 0
	icons=$(tree)/@mui/icons-material/esm
	{
		echo "import '@mui/material';"
		# find would come in another order on each file system
		(cd "$icons" && printf '%s\n' A*.js B*.js C*.js D*.js E*.js) |
			head -n 3500 |
			sed "s,.*,import '@mui/icons-material/esm/&';,"
	} >index.js
	cat >build.js <<-'END'
	module.exports = {
		mode: 'none', entry: './index.js', devtool: false,
		cache: false, optimization: { sideEffects: false },
		module: { noParse: /icons-material.esm/ },
	};
	END
}

# learn_build: a machine runs the build and gives its record to the server,
# where it is away until a row asks for it.
learn_build() {
	machine
	"$LARDER" mount -q --from "$near" bench@k1 node_modules
	some_build >/dev/null
	"$LARDER" push -q --to "$near" bench@k1
	machine_end
	record_away
}

records=v1/local/default/records
record_away() { mv "$bench_dir/web/root/$records" "$bench_dir/records"; }
record_back() { mv "$bench_dir/records" "$bench_dir/web/root/$records"; }

# shellcheck shell=bash disable=SC2154,SC2164 # real-tools sets both
# SPDX-License-Identifier: Apache-2.0
#
# Part of real-tools: a database with a write-ahead log and one with a rollback
# journal, each with two writers and a reader at a time.

sqlite_inputs() {
	cat >"$inputs/create.sql" <<-'END'
		CREATE TABLE t (id INTEGER PRIMARY KEY, who TEXT, n INTEGER,
			v BLOB, UNIQUE (who, n));
		CREATE INDEX by_size ON t (length(v), who);
		WITH RECURSIVE c(i) AS
			(SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 20000)
			INSERT INTO t (who, n, v)
			SELECT 'first', i, zeroblob(i % 500) FROM c;
	END
}

# Both databases are left without a journal beside them.
sqlite_first() {
	local mode
	for mode in wal delete; do
		sqlite3 -bail "$mode.db" >/dev/null <<-END
			PRAGMA journal_mode = $mode;
			.read $inputs/create.sql
		END
	done
}

# sqlite_writer WHO DATABASE: 150 transactions, of which every tenth is rolled
# back.
sqlite_writer() {
	local i end
	for ((i = 1; i <= 150; i++)); do
		end=COMMIT
		[ $((i % 10)) -ne 0 ] || end=ROLLBACK
		cat <<-END
			.timeout 60000
			BEGIN IMMEDIATE;
			INSERT INTO t (who, n, v) VALUES
				('$1', $i, zeroblob($i * 31)),
				('$1', -$i, zeroblob(7));
			UPDATE t SET v = zeroblob(length(v) + 1)
				WHERE who = 'first' AND n % 150 = $i - 1;
			DELETE FROM t WHERE who = '$1' AND n = 1 - $i;
			$end;
		END
	done | sqlite3 -bail "$2"
}

sqlite_reader() {
	local i
	for ((i = 0; i < 15; i++)); do
		[ "$(sqlite3 -bail -cmd '.timeout 60000' "$1" \
			'PRAGMA integrity_check;')" = ok ] || return
	done
}

sqlite_second() {
	local mode pids=() pid
	for mode in wal delete; do
		sqlite_writer one "$mode.db" &
		pids+=($!)
		sqlite_writer two "$mode.db" &
		pids+=($!)
		sqlite_reader "$mode.db" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	sqlite3 -bail wal.db 'PRAGMA wal_checkpoint(TRUNCATE);' >/dev/null
	sqlite3 -bail delete.db 'VACUUM;'
	for mode in wal delete; do
		[ "$(sqlite3 "$mode.db" 'PRAGMA integrity_check;')" = ok ]
	done
}

# Who came first differs.
sqlite_result() {
	local mode
	for mode in wal delete; do
		sqlite3 -bail "$1/$mode.db" 'PRAGMA integrity_check;' \
			'PRAGMA journal_mode;' \
			'SELECT who, n, length(v) FROM t ORDER BY who, n;'
	done
}

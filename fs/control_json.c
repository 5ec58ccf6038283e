/* SPDX-License-Identifier: Apache-2.0 */
/* JSON forms that several methods of the control server answer with. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "control_internal.h"

json_t *control_time(int64_t ns)
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;
	time_t t;
	struct tm tm;
	char text[80];
	size_t n;

	if (rest < 0) {
		rest += 1000000000;
		sec--;
	}
	t = (time_t)sec;
	if (!gmtime_r(&t, &tm))
		return json_null();
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%09" PRId64 "Z", rest);
	return json_string(text);
}

static json_t *parts_json(const struct key_parts *parts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < parts->count; i++) {
		const struct key_part *p = &parts->items[i];
		char hex[DIGEST_HEX_LEN + 1];

		digest_hex(&p->digest, hex);
		json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:s}", "kind", p->kind, "name",
				  rpc_string(p->name, strlen(p->name)),
				  "digest", hex));
	}
	return list;
}

/* Who says to have signed it. */
static json_t *signed_by(const struct entry *e)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < e->signature_count; i++)
		json_array_append_new(list, json_string(e->signatures[i].key));
	return list;
}

json_t *control_entry_json(const struct entry *e, bool with_parts)
{
	char catalog[DIGEST_HEX_LEN + 1], parent[DIGEST_HEX_LEN + 1];
	json_t *j;

	digest_hex(&e->catalog, catalog);
	digest_hex(&e->parent_catalog, parent);
	j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s}", "tenant",
		      e->tenant, "namespace", e->namespace, "name", e->name,
		      "key", e->key, "branch",
		      rpc_string(e->branch, strlen(e->branch)), "creator",
		      rpc_string(e->creator, strlen(e->creator)), "catalog",
		      catalog, "parent_catalog", parent);
	if (!j)
		return NULL;
	if (digest_is_zero(&e->parent_catalog))
		json_object_set_new(j, "parent_catalog", json_null());
	json_object_set_new(j, "signed_by", signed_by(e));
	json_object_set_new(j, "parent",
			    e->parent[0] ? json_string(e->parent) :
					   json_null());
	json_object_set_new(j, "files", json_integer((json_int_t)e->files));
	json_object_set_new(j, "dirs", json_integer((json_int_t)e->dirs));
	json_object_set_new(j, "bytes", json_integer((json_int_t)e->bytes));
	json_object_set_new(j, "new_files",
			    json_integer((json_int_t)e->new_files));
	json_object_set_new(j, "new_bytes",
			    json_integer((json_int_t)e->new_bytes));
	json_object_set_new(j, "stored_bytes",
			    json_integer((json_int_t)e->stored_bytes));
	json_object_set_new(j, "created", control_time(e->created_ns));
	json_object_set_new(j, "created_ns",
			    json_integer((json_int_t)e->created_ns));
	if (with_parts)
		json_object_set_new(j, "parts", parts_json(&e->parts));
	return j;
}

json_t *control_result_json(const struct ingest_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files",
			 (json_int_t)r->files, "dirs", (json_int_t)r->dirs,
			 "bytes", (json_int_t)r->bytes, "read_bytes",
			 (json_int_t)r->read_bytes, "new_chunks",
			 (json_int_t)r->new_chunks, "new_bytes",
			 (json_int_t)r->new_bytes, "stored_bytes",
			 (json_int_t)r->stored_bytes, "new_files",
			 (json_int_t)r->new_files);
}

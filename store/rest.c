/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blobs are folded, and against what. What is an anchor already is
 * learned from the files' headers first, and never gets one itself, whatever
 * order the entries have by now. The thread of the caller.
 */
#include "rest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "folding.h"
#include "object_files.h"
#include "tree_blobs.h"

/* What is anchored takes less than one part in so many of what the anchor
 * takes by itself; else it is not worth the wait for the anchor. */
#define ANCHORED_PART 2
#define BYTES_MIN 4096u /* a block: less would give nothing back */
#define PLAIN_PART 3	/* what a catalog takes by itself, about */

struct rest_entry {
	char *family; /* tenant, namespace and name, a newline behind each */
	char *branch;
	struct digest catalog;
	int64_t created_ns, used_ns;
};

/* A catalog of an entry that is the newest of its name or branch. */
struct rest_newest {
	struct dmap_node node; /* first */
	bool used;	       /* lately */
};

struct rest {
	struct store *store;
	const struct rest_options *options;
	struct progress *progress;
	struct rest_result result;
	struct rest_entry *entries;
	size_t n, cap;
	struct dmap anchors; /* of folded catalogs */
	struct dmap newest;  /* struct rest_newest */
};

/* The catalog that others are folded against; opened when first needed. */
struct anchor {
	struct digest name;
	struct catalog *catalog; /* NULL: not open */
	uint64_t bytes;		 /* that it takes by itself */
	bool set;
};

static void node_free(struct dmap_node *n)
{
	free(n);
}

static void rest_release(struct rest *rs)
{
	size_t i;

	for (i = 0; i < rs->n; i++) {
		free(rs->entries[i].family);
		free(rs->entries[i].branch);
	}
	free(rs->entries);
	dmap_release(&rs->anchors, node_free);
	dmap_release(&rs->newest, node_free);
}

static int note(struct dmap *set, const struct digest *digest)
{
	struct dmap_node *n;

	return dmap_get(set, digest, sizeof(*n), &n);
}

/* ---- what there is */

static int grow(struct rest *rs)
{
	size_t cap = rs->cap ? 2 * rs->cap : 64;
	struct rest_entry *grown;

	if (rs->n < rs->cap)
		return 0;
	grown = reallocarray(rs->entries, cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	rs->entries = grown;
	rs->cap = cap;
	return 0;
}

/* No part of a name has a control character. */
static char *family_of(const struct entry *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	size_t len;

	buf_printf(&b, "%s\n%s\n%s\n", e->tenant, e->namespace, e->name);
	buf_put_u8(&b, 0);
	return buf_error(&b) ? NULL : (char *)buf_take(&b, &len);
}

static int take_entry(void *arg, const struct index_name *name,
		      const struct entry *e, int err)
{
	struct rest *rs = arg;
	struct rest_entry *re;
	int r;

	if (err == -ESTALE)
		return index_refuse_newer(name);
	if (!e)
		return 0;
	r = grow(rs);
	if (r < 0)
		return r;
	re = &rs->entries[rs->n];
	*re = (struct rest_entry){ .family = family_of(e),
				   .branch = strdup(e->branch),
				   .catalog = e->catalog,
				   .created_ns = e->created_ns };
	rs->n++;
	r = index_get_use(rs->store->index, e, &re->used_ns);
	if (r == -ENOENT)
		re->used_ns = e->created_ns;
	if (r < 0 && r != -ENOENT)
		return r;
	return re->family && re->branch ? 0 : -ENOMEM;
}

/* What is said, and left, by whoever opens the tree. */
static bool is_damage(int err)
{
	return err == -ENOENT || err == -EBADMSG || err == -ESTALE;
}

/* How a blob lies there. */
enum lies {
	LIES_NOT, /* to be read */
	LIES_PLAIN,
	LIES_ALONE,
	LIES_ANCHORED,
};

static int look_at_blob(int rootfd, const struct digest *name,
			enum lies *ret_how, uint64_t *ret_bytes,
			struct fold_header *ret_header)
{
	struct index_stamp stamp = { 0 };
	_cleanup_close_ int fd = tree_blob_open(rootfd, name, &stamp);
	int r = fd < 0 ? fd : fold_read_header(fd, ret_header);

	if (r < 0 && !is_damage(r))
		return r;
	*ret_bytes = stamp.bytes;
	*ret_how = r < 0 ? LIES_NOT : r == 0 ? LIES_PLAIN : LIES_ALONE;
	if (r > 0 && !digest_is_zero(&ret_header->anchor))
		*ret_how = LIES_ANCHORED;
	return 0;
}

static int look_at_file(void *arg, const struct digest *name,
			const struct stat *st)
{
	struct rest *rs = arg;
	struct fold_header h;
	uint64_t bytes;
	enum lies how;
	int r = look_at_blob(rs->store->catalogs_fd, name, &how, &bytes, &h);

	(void)st;
	return r < 0 || how != LIES_ANCHORED ? r :
					       note(&rs->anchors, &h.anchor);
}

/* Oldest first in each family. */
static int by_age(const void *pa, const void *pb)
{
	const struct rest_entry *a = pa, *b = pb;
	int cmp = strcmp(a->family, b->family);

	if (cmp)
		return cmp;
	if (a->created_ns != b->created_ns)
		return a->created_ns < b->created_ns ? -1 : 1;
	return memcmp(&a->catalog, &b->catalog, sizeof(a->catalog));
}

static int by_branch(const void *pa, const void *pb)
{
	const struct rest_entry *a = pa, *b = pb;
	int cmp = strcmp(a->family, b->family);

	if (cmp == 0)
		cmp = strcmp(a->branch, b->branch);
	return cmp ? cmp : by_age(pa, pb);
}

static int note_newest(struct rest *rs, const struct rest_entry *e)
{
	struct dmap_node *n;
	int r = dmap_get(&rs->newest, &e->catalog, sizeof(struct rest_newest),
			 &n);

	if (r == 0 && e->used_ns >= rs->options->unused_since_ns)
		((struct rest_newest *)n)->used = true;
	return r;
}

/* The last of each run of equal families, and of equal branches in them. */
static int note_last(struct rest *rs, bool branches)
{
	const struct rest_entry *e = rs->entries;
	int r = 0;

	if (rs->n == 0)
		return 0;
	qsort(rs->entries, rs->n, sizeof(*e), branches ? by_branch : by_age);
	for (size_t i = 0; r == 0 && i < rs->n; i++)
		if (i + 1 == rs->n || strcmp(e[i].family, e[i + 1].family) ||
		    (branches && strcmp(e[i].branch, e[i + 1].branch)))
			r = note_newest(rs, &e[i]);
	return r;
}

/* Leaves the entries by their age. */
static int look(struct rest *rs)
{
	int r = index_each_record(rs->store->index, take_entry, rs);

	if (r == 0)
		r = object_files_each(rs->store->catalogs_fd, look_at_file, rs);
	if (r == 0)
		r = note_last(rs, true);
	return r < 0 ? r : note_last(rs, false);
}

static int publish(struct rest *rs, const struct folding *f)
{
	int r = folding_publish(f);

	if (r > 0) {
		rs->result.before_bytes += f->header.bytes;
		rs->result.after_bytes += f->file.len;
	}
	return r;
}

/* ---- placements */

/* Its bytes are looked at after the file has been checked, so what they hold
 * is that file's, or a newer one that was published whole. */
static int placement_read(struct rest *rs, const struct digest *name,
			  uint8_t **ret_data, size_t *ret_len)
{
	struct placement *p = NULL;
	struct catalog *c = NULL;
	char path[STORE_PATH_LEN + 1];
	struct digest anchor;
	int r = tree_load_catalog(rs->store, name, false, &c, &anchor);

	if (r == 0)
		r = tree_load_placement(rs->store, name, c, true, &p);
	placement_free(p);
	catalog_unref(c);
	if (r < 0)
		return r;
	store_path(name, path);
	return io_read_file(rs->store->placements_fd, path, FOLD_BYTES_MAX,
			    ret_data, ret_len);
}

static int rest_placement(struct rest *rs, const struct digest *name)
{
	struct folding f = { .store = rs->store,
			     .header = { .kind = FOLD_PLACEMENT,
					 .name = *name },
			     .file = BUF_INIT };
	_cleanup_free_ uint8_t *data = NULL;
	struct fold_header h;
	uint64_t bytes;
	enum lies how;
	size_t len = 0;
	int r = look_at_blob(rs->store->placements_fd, name, &how, &bytes, &h);

	if (r < 0 || how != LIES_PLAIN || bytes <= BYTES_MIN ||
	    bytes > FOLD_BYTES_MAX)
		return r;
	r = placement_read(rs, name, &data, &len);
	if (r < 0)
		return is_damage(r) ? 0 : r;
	f.data = data;
	f.header.bytes = len;
	r = folding_encode(&f, NULL, NULL);
	if (r == 0)
		r = publish(rs, &f);
	folding_release(&f);
	rs->result.placements += r > 0;
	return r < 0 ? r : 0;
}

/* ---- catalogs */

static void anchor_release(struct anchor *a)
{
	catalog_unref(a->catalog);
	*a = (struct anchor){ .bytes = 0 };
}

static void anchor_set(struct anchor *a, const struct digest *name,
		       uint64_t bytes)
{
	anchor_release(a);
	a->name = *name;
	a->bytes = bytes;
	a->set = true;
}

/* Whether the anchor is there to be used. */
static bool anchor_open(struct rest *rs, struct anchor *a)
{
	struct digest none;
	size_t len;

	if (!a->set)
		return false;
	if (!a->catalog && tree_load_catalog(rs->store, &a->name, true,
					     &a->catalog, &none) < 0)
		return false;
	(void)catalog_bytes(a->catalog, &len);
	return len <= FOLD_BYTES_MAX;
}

/* Against the anchor, or by itself: then it is the next anchor. */
static int fold_catalog(struct rest *rs, struct folding *f, struct anchor *a)
{
	const struct digest *name = &f->header.name;
	bool alone = dmap_find(&rs->anchors, name) || !anchor_open(rs, a);
	int r = alone ? 0 : folding_encode(f, &a->name, a->catalog);

	if (r == 0 && !alone && f->file.len > a->bytes / ANCHORED_PART)
		alone = true;
	if (r == 0 && alone)
		r = folding_encode(f, NULL, NULL);
	if (r == 0 && !alone)
		r = note(&rs->anchors, &a->name);
	if (r < 0)
		return r;
	if (alone)
		anchor_set(a, name, f->file.len);
	return publish(rs, f);
}

static int rest_catalog(struct rest *rs, const struct digest *name,
			struct anchor *a)
{
	struct folding f = { .store = rs->store,
			     .header = { .kind = FOLD_CATALOG, .name = *name },
			     .file = BUF_INIT };
	struct catalog *c = NULL;
	struct digest none;
	size_t len;
	int r = tree_load_catalog(rs->store, name, true, &c, &none);

	if (r < 0)
		return is_damage(r) ? 0 : r;
	f.data = catalog_bytes(c, &len);
	f.header.bytes = len;
	r = len > FOLD_BYTES_MAX ? 0 : fold_catalog(rs, &f, a);
	folding_release(&f);
	catalog_unref(c);
	rs->result.catalogs += r > 0;
	return r < 0 ? r : 0;
}

static bool tree_stays(struct rest *rs, const struct digest *name,
		       uint64_t bytes)
{
	const struct rest_newest *n =
		(struct rest_newest *)dmap_find(&rs->newest, name);

	return store_is_needed(rs->store, name) ||
	       (n && (n->used || bytes > REST_NEWEST_MAX));
}

static int rest_tree(struct rest *rs, const struct digest *name,
		     struct anchor *a)
{
	struct fold_header h;
	uint64_t bytes;
	enum lies how;
	bool stays;
	int r = look_at_blob(rs->store->catalogs_fd, name, &how, &bytes, &h);

	if (r < 0 || how == LIES_NOT)
		return r;
	stays = tree_stays(rs, name, bytes);
	if (how == LIES_ALONE)
		anchor_set(a, name, bytes);
	if (how == LIES_PLAIN && stays && !a->set)
		anchor_set(a, name, bytes / PLAIN_PART);
	if (how == LIES_PLAIN && !stays && bytes > BYTES_MIN)
		r = rest_catalog(rs, name, a);
	return r < 0 || stays ? r : rest_placement(rs, name);
}

static int rest_all(struct rest *rs)
{
	struct anchor a = { .bytes = 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < rs->n; i++) {
		const struct rest_entry *e = &rs->entries[i];

		if (i > 0 && strcmp(e[0].family, e[-1].family))
			anchor_release(&a);
		r = progress_tick(rs->progress, "fold", i, rs->n, 0, 0);
		if (r == 0)
			r = rest_tree(rs, &e->catalog, &a);
	}
	anchor_release(&a);
	return r;
}

int rest_run(struct store *s, const struct rest_options *options,
	     struct progress *progress, struct rest_result *ret_result)
{
	struct rest rs = { .store = s,
			   .options = options,
			   .progress = progress };
	int r = store_collect_begin(s);

	if (r < 0)
		return r;
	r = look(&rs);
	if (r == 0)
		r = rest_all(&rs);
	store_collect_end(s);
	if (r == 0)
		*ret_result = rs.result;
	rest_release(&rs);
	return r;
}

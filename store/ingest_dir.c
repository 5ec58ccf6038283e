/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain directory as a source: walk, samples for the dictionary, content
 * in tree order. Files are opened and read on the threads of the pool and
 * compared with what the walk saw when they are closed. What has not changed
 * since the directory's manifest is taken from the tree that it was then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "ingest_before.h"
#include "ingest_internal.h"

#define SAMPLE_BYTES_MAX (16u << 10) /* of one file */
#define SAMPLES_BYTES_MIN (UINT64_C(4) << 20)
#define SAMPLES_BYTES_MAX (UINT64_C(8) << 20)
#define SMALL_BYTES_MIN (UINT64_C(1) << 20) /* less gets no dictionary */

struct open_file {
	int fd;
	uint64_t size;
	bool at_end; /* a short read told so */
};

static int file_open(void *ctx, uint64_t cookie, void **ret_handle)
{
	const struct walk *w = ctx;
	const struct walk_file *f = &w->files[cookie];
	struct open_file *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->size = f->size;
	r = walk_open(w, f, &o->fd);
	if (r < 0) {
		free(o);
		return walk_error(w, f, r, "cannot open");
	}
	*ret_handle = o;
	return 0;
}

static ssize_t file_read(void *handle, void *buf, size_t len, uint64_t off)
{
	struct open_file *o = handle;
	ssize_t n;

	if (o->at_end)
		return 0;
	do
		n = pread(o->fd, buf, len, off);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return log_error(-errno, "cannot read a file of the tree");
	o->at_end = (size_t)n < len;
	return n;
}

/* The file system below may not know its holes: then all is data. */
static uint64_t file_hole(void *handle, uint64_t off)
{
	const struct open_file *o = handle;
	off_t data;

	if (off >= o->size)
		return 0;
	data = lseek(o->fd, (off_t)off, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? o->size - off : 0;
	return ((uint64_t)data < o->size ? (uint64_t)data : o->size) - off;
}

static int file_close(void *ctx, uint64_t cookie, void *handle, uint64_t got)
{
	const struct walk *w = ctx;
	struct open_file *o = handle;
	int r = walk_check(w, &w->files[cookie], o->fd);

	if (r == 0 && got != w->files[cookie].size)
		r = walk_error(w, &w->files[cookie], -ESTALE,
			       "changed while it was imported");
	close(o->fd);
	free(o);
	return r;
}

static const struct ingest_loader file_loader = {
	.open = file_open,
	.read = file_read,
	.hole = file_hole,
	.close = file_close,
};

/* The regular files in tree order. */
struct file_list {
	const struct walk_file **files;
	size_t n;
};

static void file_list_release(struct file_list *l)
{
	free(l->files);
}

static int node_cmp(const void *key, const void *member)
{
	const uint32_t *node = key;
	const struct walk_file *f = member;

	return *node < f->node ? -1 : *node > f->node;
}

/* The walk makes nodes and file records together, so the records are sorted
 * by node. */
static int file_list_order(const struct walk *w, struct file_list *l)
{
	const uint32_t *nodes;
	size_t i;
	int r;

	r = catalog_build_order(w->build, &nodes, &l->n);
	if (r < 0)
		return r;
	l->files = calloc(l->n + 1, sizeof(*l->files));
	if (!l->files)
		return -ENOMEM;
	for (i = 0; i < l->n; i++) {
		l->files[i] = bsearch(&nodes[i], w->files, w->n_files,
				      sizeof(*w->files), node_cmp);
		if (!l->files[i])
			return -EINVAL;
	}
	return 0;
}

static size_t sample_size(const struct walk_file *f)
{
	if (f->size > CODEC_DICT_CHUNK_MAX || f->known)
		return 0;
	return f->size < SAMPLE_BYTES_MAX ? f->size : SAMPLE_BYTES_MAX;
}

/* A file that cannot be read gives an empty sample: what is wrong with it
 * will be said when its turn comes. */
static size_t sample_read(const struct walk *w, const struct walk_file *f,
			  uint8_t *buf, size_t len)
{
	_cleanup_close_ int fd = -1;

	if (walk_open(w, f, &fd) < 0)
		return 0;
	return io_pread(fd, buf, len, 0) < 0 ? 0 : len;
}

/* Takes a file whenever less than its share of the budget is used up. */
static int samples_take(struct ingest *in, const struct walk *w,
			const struct file_list *l, uint64_t total,
			uint64_t budget)
{
	_cleanup_free_ uint8_t *data = malloc(budget + SAMPLE_BYTES_MAX);
	_cleanup_free_ size_t *sizes = calloc(l->n + 1, sizeof(*sizes));
	uint64_t taken = 0, sum = 0;
	unsigned n = 0;
	size_t i;

	if (!data || !sizes)
		return -ENOMEM;
	for (i = 0; i < l->n && taken < budget; i++) {
		size_t want = sample_size(l->files[i]);
		size_t got;

		sum += want;
		if (want == 0 || taken > budget * ((double)sum / total))
			continue;
		got = sample_read(w, l->files[i], data + taken, want);
		if (got == 0)
			continue;
		sizes[n++] = got;
		taken += got;
	}
	return n > 0 ? ingest_train(in, data, sizes, n) : 0;
}

static int samples_give(struct ingest *in, const struct walk *w,
			const struct file_list *l)
{
	uint64_t total = 0, budget = w->bytes / 50;
	size_t i;

	for (i = 0; i < l->n; i++)
		total += sample_size(l->files[i]);
	if (total < SMALL_BYTES_MIN)
		return 0;
	if (budget < SAMPLES_BYTES_MIN)
		budget = SAMPLES_BYTES_MIN;
	if (budget > SAMPLES_BYTES_MAX)
		budget = SAMPLES_BYTES_MAX;
	return samples_take(in, w, l, total, budget);
}

/* ---- what is known from before */

/* Waits until no file is as young as what is being read, so that the next
 * import need not take the last ones for changed. Content is read after this. */
static void settle(const struct walk *w, int64_t *as_of_ns)
{
	const struct timespec wait = { 0, MANIFEST_RACY_NS };
	uint32_t i;

	for (i = 0; i < w->n_files; i++)
		if (w->files[i].ctime_ns > *as_of_ns - MANIFEST_RACY_NS) {
			nanosleep(&wait, NULL);
			*as_of_ns = clock_wall_ns();
			return;
		}
}

/* What was read now is what the next import knows. */
static void note(struct store *s, const struct manifest_root *root,
		 const struct walk *w, const struct digest *catalog,
		 int64_t as_of_ns)
{
	struct manifest_list l = { 0 };
	uint32_t i;
	int r = 0;

	for (i = 0; r == 0 && i < w->n_files; i++) {
		const struct walk_file *f = &w->files[i];
		const struct manifest_file file = {
			.ino = f->ino,
			.size = f->size,
			.mtime_ns = f->mtime_ns,
			.ctime_ns = f->ctime_ns,
			.node = catalog_build_ino(w->build, f->node),
		};

		if (f->dev == w->dev)
			r = manifest_add(&l, &file);
	}
	if (r == 0)
		r = manifest_publish(s, root, catalog, as_of_ns, &l);
	if (r < 0)
		log_warn(r, "%s: cannot note what was imported", w->label);
	manifest_list_release(&l);
}

/* ---- all of it */

static int load_all(struct ingest *in, struct walk *w,
		    const struct file_list *l, const struct before *before)
{
	size_t i;
	int r;

	ingest_expect(in, w->n_files, w->bytes);
	for (i = 0; i < l->n; i++) {
		const struct walk_file *f = l->files[i];

		if (f->size == 0)
			continue;
		r = f->known ? ingest_known_file(in, f->node, before->tree,
						 f->known) :
			       ingest_load(in, f->node, &file_loader, w,
					   f - w->files, f->size);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_in(struct ingest *in, struct walk *w,
		   const struct before *before, int64_t *as_of_ns,
		   struct entry *e, struct ingest_result *ret_result)
{
	_cleanup_(file_list_release) struct file_list l = { 0 };
	int r;

	r = walk_run(w);
	if (r < 0)
		return r;
	before_mark(before, w);
	settle(w, as_of_ns);
	r = file_list_order(w, &l);
	if (r < 0)
		return r;
	r = samples_give(in, w, &l);
	if (r < 0)
		return r;
	r = load_all(in, w, &l, before);
	if (r < 0)
		return r;
	return ingest_commit(in, e, ret_result);
}

int ingest_dir(struct store *s, int dirfd, const char *label,
	       const struct ingest_owner *self, bool reread,
	       struct progress *progress, struct entry *e,
	       struct ingest_result *ret_result)
{
	_cleanup_(before_release) struct before before = { 0 };
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	int64_t as_of_ns = clock_wall_ns();
	struct walk w = {
		.rootfd = dirfd,
		.label = label,
		.self = self,
		.progress = progress,
		.privileged = geteuid() == 0,
	};
	struct catalog_meta root;
	struct ingest *in;
	struct manifest_root id;
	int r = manifest_root_of(dirfd, &id);

	if (r == 0)
		r = walk_root(dirfd, self, w.privileged, &xattrs, &root);
	if (r < 0)
		return log_error(r, "%s: cannot import", label);
	r = ingest_new(s, &root, progress, &in);
	if (r < 0)
		return r;
	if (!reread)
		(void)before_open(&before, s, &id);
	w.build = ingest_build(in);
	r = take_in(in, &w, &before, &as_of_ns, e, ret_result);
	if (r == 0)
		note(s, &id, &w, &ret_result->catalog, as_of_ns);
	/* The ingest's threads use the walk. */
	ingest_free(in);
	walk_release(&w);
	return r;
}

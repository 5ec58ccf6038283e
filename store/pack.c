/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading packs. A pack owns its descriptor and, once a frame has wanted it,
 * the dictionary; frames and index records are read when asked for, since a
 * mount reads neither most frames nor any index. Any thread; nothing here
 * locks: what changes after pack_open() are three atomics.
 *
 * All positions from the file or the caller are checked against the layout
 * that the footer gave, which pack_open() compared with the file's size. This
 * file does not cache decoded chunks, and leaves saying that a frame is
 * damaged to the caller, who knows the path of the file it belongs to.
 */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/io.h"
#include "base/le.h"
#include "base/log.h"
#include "pack_format.h"

#define FRAME_STACK_BYTES (64u << 10) /* larger frames go to the heap */
#define STREAM_BYTES (64u << 10)

struct pack {
	struct digest name; /* this and the next: constant after pack_open() */
	int fd;
	uint32_t bytes;
	uint32_t dict_len;
	uint32_t dict_crc;
	uint32_t index_off;
	uint32_t index_crc;
	uint32_t chunks;
	char hex[DIGEST_HEX_LEN + 1]; /* the name, for messages */

	atomic_uint refs;
	_Atomic(struct codec_dict *) dict; /* NULL until it is needed */
	atomic_bool dict_said;		   /* damage is logged once */
	atomic_int index_state;		   /* 0 unread, 1 good, or errno */
};

/* Behind the dictionary, where the first frame may begin. */
static uint32_t pack_frames_off(const struct pack *p)
{
	return sizeof(struct pack_header) + p->dict_len;
}

static int read_whole(int fd, void *buf, size_t len, uint64_t off)
{
	int r = io_pread(fd, buf, len, off);

	return r == -ENODATA ? -EBADMSG : r;
}

/* A descriptor whose file system cannot say is read the ordinary way. */
static int read_cached(int fd, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	ssize_t n = preadv2(fd, &iov, 1, off, RWF_NOWAIT);

	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		return read_whole(fd, buf, len, off);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	return n == (ssize_t)len ? 0 : -EAGAIN;
}

static int pack_bytes_at(const struct pack *p, unsigned flags, void *buf,
			 size_t len, uint64_t off)
{
	if (flags & PACK_READ_NOWAIT)
		return read_cached(p->fd, buf, len, off);
	return read_whole(p->fd, buf, len, off);
}

/* Feeds [off, off+len) of the file to `each` in pieces. */
static int pack_stream(const struct pack *p, uint64_t off, uint64_t len,
		       int (*each)(void *arg, const void *data, size_t n),
		       void *arg)
{
	uint8_t piece[STREAM_BYTES];

	while (len > 0) {
		size_t n = len < sizeof(piece) ? len : sizeof(piece);
		int r = read_whole(p->fd, piece, n, off);

		if (r < 0)
			return r;
		r = each(arg, piece, n);
		if (r < 0)
			return r;
		off += n;
		len -= n;
	}
	return 0;
}

/* Opening */

static bool size_is_possible(uint64_t bytes)
{
	return bytes <= PACK_MAX_BYTES &&
	       bytes >= sizeof(struct pack_header) + sizeof(struct pack_footer);
}

static int open_file(struct pack *p, int packs_dirfd)
{
	char path[PACK_PATH_LEN + 1];
	struct stat st;

	pack_path(&p->name, path);
	p->fd = openat(packs_dirfd, path,
		       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (p->fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (p->fd < 0)
		return log_error(-errno, "pack %s: cannot open", p->hex);
	if (fstat(p->fd, &st) < 0)
		return log_error(-errno, "pack %s: cannot stat", p->hex);
	if (!S_ISREG(st.st_mode))
		return log_error(-EBADMSG, "pack %s: no regular file", p->hex);
	if (!size_is_possible(st.st_size))
		return log_error(-EBADMSG, "pack %s: impossible size of %lld",
				 p->hex, (long long)st.st_size);
	p->bytes = st.st_size;
	return 0;
}

/* Magic and version, which all versions have in the same places. */
static int check_version(const struct pack *p, const struct pack_header *header,
			 const struct pack_footer *footer)
{
	uint32_t version = le32_get(header->version);

	if (memcmp(header->magic, PACK_MAGIC, PACK_MAGIC_LEN) != 0 ||
	    memcmp(footer->magic, PACK_MAGIC, PACK_MAGIC_LEN) != 0)
		return log_error(-EBADMSG, "pack %s: not a pack", p->hex);
	if (version != le32_get(footer->version) || version == 0)
		return log_error(-EBADMSG, "pack %s: bad version", p->hex);
	if (version > PACK_VERSION)
		return log_error(-ESTALE, "pack %s: format %u, known up to %u",
				 p->hex, version, PACK_VERSION);
	if (le32_get(header->zero) != 0)
		return log_error(-EBADMSG, "pack %s: bad header", p->hex);
	return 0;
}

/* Whether the parts fill the file exactly. 64 bits, so that no sum wraps. */
static bool layout_is_valid(const struct pack *p, uint32_t dict_off)
{
	uint64_t index_bytes = (uint64_t)p->chunks * sizeof(struct pack_record);

	return dict_off == sizeof(struct pack_header) &&
	       p->dict_len <= CODEC_DICT_MAX &&
	       dict_off + (uint64_t)p->dict_len <= p->index_off &&
	       p->index_off + index_bytes + sizeof(struct pack_footer) ==
		       p->bytes;
}

/* What the footer says; `p` has name and size. */
static int footer_decode(struct pack *p, const struct pack_footer *footer)
{
	p->index_off = le32_get(footer->index_off);
	p->chunks = le32_get(footer->chunks);
	p->dict_len = le32_get(footer->dict_len);
	p->dict_crc = le32_get(footer->dict_crc);
	p->index_crc = le32_get(footer->index_crc);
	if (le32_get(footer->footer_crc) !=
		    crc32c(0, footer,
			   offsetof(struct pack_footer, footer_crc)) ||
	    !layout_is_valid(p, le32_get(footer->dict_off)))
		return log_error(-EBADMSG, "pack %s: bad footer", p->hex);
	return 0;
}

static int read_layout(struct pack *p)
{
	struct pack_header header;
	struct pack_footer footer;
	int r;

	r = read_whole(p->fd, &header, sizeof(header), 0);
	if (r == 0)
		r = read_whole(p->fd, &footer, sizeof(footer),
			       p->bytes - sizeof(footer));
	if (r < 0)
		return log_error(r, "pack %s: cannot read", p->hex);
	r = check_version(p, &header, &footer);
	return r < 0 ? r : footer_decode(p, &footer);
}

int pack_head_bytes(const struct digest *name, uint64_t bytes, const void *tail,
		    uint32_t *ret_bytes)
{
	struct pack p = { .name = *name };
	struct pack_footer footer;
	int r;

	digest_hex(name, p.hex);
	if (!size_is_possible(bytes))
		return log_error(-EBADMSG,
				 "pack %s: impossible size of %" PRIu64, p.hex,
				 bytes);
	p.bytes = bytes;
	memcpy(&footer, tail, sizeof(footer));
	r = footer_decode(&p, &footer);
	if (r < 0)
		return r;
	*ret_bytes = pack_frames_off(&p);
	return 0;
}

int pack_check_head(const struct digest *name, uint64_t bytes, const void *tail,
		    const void *head)
{
	struct pack p = { .name = *name, .bytes = bytes };
	const uint8_t *dict =
		(const uint8_t *)head + sizeof(struct pack_header);
	struct pack_footer footer;
	int r;

	digest_hex(name, p.hex);
	memcpy(&footer, tail, sizeof(footer));
	r = check_version(&p, head, &footer);
	if (r < 0)
		return r;
	r = footer_decode(&p, &footer);
	if (r < 0)
		return r;
	if (crc32c(0, dict, p.dict_len) != p.dict_crc)
		return log_error(-EBADMSG, "pack %s: bad dictionary", p.hex);
	return 0;
}

static void cleanup_pack(struct pack **p)
{
	if (*p)
		pack_unref(*p);
}

int pack_open(int packs_dirfd, const struct digest *name,
	      struct pack **ret_pack)
{
	_cleanup_(cleanup_pack) struct pack *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->name = *name;
	p->fd = -1;
	atomic_init(&p->refs, 1);
	digest_hex(name, p->hex);
	r = open_file(p, packs_dirfd);
	if (r < 0)
		return r;
	r = read_layout(p);
	if (r < 0)
		return r;
	*ret_pack = steal_ptr(&p);
	return 0;
}

struct pack *pack_ref(struct pack *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void pack_unref(struct pack *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
		return;
	codec_dict_free(atomic_load(&p->dict));
	cleanup_close(&p->fd);
	free(p);
}

const struct digest *pack_name(const struct pack *p)
{
	return &p->name;
}

uint64_t pack_bytes(const struct pack *p)
{
	return p->bytes;
}

uint32_t pack_chunks(const struct pack *p)
{
	return p->chunks;
}

uint32_t pack_index_off(const struct pack *p)
{
	return p->index_off;
}

bool pack_index_is(const struct pack *p, const void *index, size_t len)
{
	return len == p->chunks * sizeof(struct pack_record) &&
	       crc32c(0, index, len) == p->index_crc;
}

int pack_check_index(const struct pack *p, const void *index, size_t len)
{
	if (!pack_index_is(p, index, len))
		return log_error(-EBADMSG, "pack %s: bad index", p->hex);
	return 0;
}

/* Index */

static int crc_piece(void *arg, const void *data, size_t n)
{
	uint32_t *crc = arg;

	*crc = crc32c(*crc, data, n);
	return 0;
}

static int index_check_crc(const struct pack *p)
{
	uint32_t crc = 0;
	int r = pack_stream(p, p->index_off,
			    (uint64_t)p->chunks * sizeof(struct pack_record),
			    crc_piece, &crc);

	if (r < 0)
		return log_error(r, "pack %s: cannot read the index", p->hex);
	if (crc != p->index_crc)
		return log_error(-EBADMSG, "pack %s: bad index", p->hex);
	return 0;
}

/* The first caller reads the index; two at once do it twice, to the same
 * end. A device's error is not remembered. */
static int index_check(const struct pack *p)
{
	atomic_int *state = (atomic_int *)&p->index_state;
	int seen = atomic_load(state);
	int r;

	if (seen)
		return seen > 0 ? 0 : seen;
	r = index_check_crc(p);
	if (r == 0)
		atomic_store(state, 1);
	else if (r == -EBADMSG)
		atomic_store(state, r);
	return r;
}

static bool frame_is_inside(const struct pack *p, uint32_t off, uint32_t len)
{
	return len > 0 && len <= PACK_FRAME_MAX && off >= pack_frames_off(p) &&
	       off <= p->index_off && len <= p->index_off - off;
}

bool pack_has_room(const struct pack *p, uint32_t off, uint32_t len)
{
	return frame_is_inside(p, off, len);
}

static int record_decode(const struct pack *p, const struct pack_record *rec,
			 struct pack_chunk *ret_chunk)
{
	uint32_t flags = le32_get(rec->flags);
	struct pack_chunk c;

	memcpy(c.digest.bytes, rec->digest, DIGEST_LEN);
	c.off = le32_get(rec->off);
	c.len = le32_get(rec->len);
	c.size = le32_get(rec->size);
	c.has_dict = flags & PACK_CHUNK_DICT;
	if (!frame_is_inside(p, c.off, c.len) || c.size == 0 ||
	    c.size > CHUNK_MAX || (flags & ~PACK_CHUNK_FLAGS) != 0 ||
	    (c.has_dict && p->dict_len == 0))
		return -EBADMSG;
	*ret_chunk = c;
	return 0;
}

int pack_chunk_at(const struct pack *p, uint32_t n,
		  struct pack_chunk *ret_chunk)
{
	struct pack_record rec;
	int r;

	if (n >= p->chunks)
		return -ENOENT;
	r = index_check(p);
	if (r < 0)
		return r;
	r = read_whole(p->fd, &rec, sizeof(rec),
		       p->index_off + (uint64_t)n * sizeof(rec));
	if (r == 0)
		r = record_decode(p, &rec, ret_chunk);
	if (r < 0)
		return log_error(r, "pack %s: bad index record %u", p->hex, n);
	return 0;
}

/* Chunks */

static int dict_error(struct pack *p, int err)
{
	if (err == -EBADMSG && !atomic_exchange(&p->dict_said, true))
		log_error(err, "pack %s: bad dictionary", p->hex);
	return err;
}

static int dict_bytes(struct pack *p, unsigned flags, uint8_t *data)
{
	int r = pack_bytes_at(p, flags, data, p->dict_len,
			      sizeof(struct pack_header));

	if (r == 0 && crc32c(0, data, p->dict_len) != p->dict_crc)
		r = -EBADMSG;
	return dict_error(p, r);
}

static int dict_read(struct pack *p, unsigned flags,
		     struct codec_dict **ret_dict)
{
	_cleanup_free_ uint8_t *data = malloc(p->dict_len);
	int r;

	if (!data)
		return -ENOMEM;
	r = dict_bytes(p, flags, data);
	if (r < 0)
		return r;
	r = codec_dict_new(data, p->dict_len, 0, ret_dict);
	return dict_error(p, r);
}

/* Of threads that load the dictionary at once, the first one's stays. */
static int dict_get(struct pack *p, unsigned flags,
		    const struct codec_dict **ret_dict)
{
	struct codec_dict *dict = atomic_load(&p->dict), *other = NULL;
	int r;

	if (!dict) {
		if (p->dict_len == 0)
			return -EBADMSG;
		r = dict_read(p, flags, &dict);
		if (r < 0)
			return r;
		if (!atomic_compare_exchange_strong(&p->dict, &other, dict)) {
			codec_dict_free(dict);
			dict = other;
		}
	}
	*ret_dict = dict;
	return 0;
}

int pack_decode(struct pack *p, struct codec_ctx *ctx, const void *frame,
		uint32_t len, bool has_dict, unsigned flags, void *out,
		uint32_t size)
{
	const struct codec_dict *dict = NULL;
	int r = has_dict ? dict_get(p, flags, &dict) : 0;

	return r < 0 ? r : codec_decompress(ctx, dict, frame, len, out, size);
}

int pack_read(struct pack *p, struct codec_ctx *ctx, uint32_t off, uint32_t len,
	      bool has_dict, unsigned flags, void *out, uint32_t size)
{
	uint8_t small[FRAME_STACK_BYTES];
	_cleanup_free_ uint8_t *large = NULL;
	uint8_t *frame = small;
	int r;

	if (!frame_is_inside(p, off, len) || size == 0 || size > CHUNK_MAX)
		return -EBADMSG;
	if (len > sizeof(small)) {
		frame = large = malloc(len);
		if (!large)
			return -ENOMEM;
	}
	r = pack_bytes_at(p, flags, frame, len, off);
	if (r < 0)
		return r;
	return pack_decode(p, ctx, frame, len, has_dict, flags, out, size);
}

int pack_read_frame(struct pack *p, uint32_t off, uint32_t len, void *out)
{
	if (!frame_is_inside(p, off, len))
		return -EBADMSG;
	return read_whole(p->fd, out, len, off);
}

uint32_t pack_dict_bytes(const struct pack *p)
{
	return p->dict_len;
}

int pack_read_dict(struct pack *p, struct buf *ret_dict)
{
	int r;

	if (p->dict_len == 0)
		return 0;
	buf_put_zero(ret_dict, p->dict_len);
	r = buf_error(ret_dict);
	return r < 0 ? r :
		       dict_bytes(p, 0,
				  ret_dict->data + ret_dict->len - p->dict_len);
}

/* The name */

static int hash_piece(void *arg, const void *data, size_t n)
{
	return digest_ctx_update(arg, data, n);
}

int pack_check_name(const struct pack *p)
{
	_cleanup_digest_ctx_ struct digest_ctx *hash = NULL;
	struct digest found;
	int r;

	r = digest_ctx_new(&hash);
	if (r < 0)
		return r;
	r = pack_stream(p, 0, p->bytes, hash_piece, hash);
	if (r < 0)
		return r;
	r = digest_ctx_final(hash, &found);
	if (r < 0)
		return r;
	return digest_equal(&found, &p->name) ? 0 : -EBADMSG;
}

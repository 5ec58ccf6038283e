/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and signatures: the vectors of RFC 8032, texts, and what of an entry a
 * signature is over, which is all of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/log.h"
#include "store/trust.h"

/* RFC 8032, 7.1: secret key, public key, message, signature. */
static const struct {
	const char *secret, *public, *message, *signature;
} vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	  "",
	  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	  "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	  "72",
	  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	  "af82",
	  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	  "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

/* The first vector's. */
#define SECRET \
	"larder-secret-key:ci:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PUBLIC "ci:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static struct sign_key *key_of(const char *text)
{
	struct sign_key *key;

	assert_int_equal(sign_key_parse(text, &key), 0);
	return key;
}

static struct sign_key *new_key(const char *name)
{
	struct sign_key *key;

	assert_int_equal(sign_key_new(name, &key), 0);
	return key;
}

/* A key with the bytes of a vector, by way of its text: Base64 of the hex. */
static void test_vectors(void **state)
{
	static const char *const secrets[] = {
		SECRET,
		"larder-secret-key:ci:"
		"TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=",
		"larder-secret-key:ci:"
		"xaqN9D+fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc=",
	};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		_cleanup_sign_key_ struct sign_key *key = key_of(secrets[i]);
		const struct sign_public *public = sign_key_public(key);
		uint8_t want[SIGN_LEN], got[SIGN_LEN], bytes[SIGN_KEY_LEN];
		uint8_t message[2] = { 0 };
		size_t len = strlen(vectors[i].message) / 2;

		assert_int_equal(
			hex_decode(vectors[i].public, SIGN_KEY_LEN, bytes), 0);
		assert_memory_equal(public->bytes, bytes, SIGN_KEY_LEN);
		assert_int_equal(hex_decode(vectors[i].message, len, message),
				 0);
		assert_int_equal(
			hex_decode(vectors[i].signature, SIGN_LEN, want), 0);
		assert_int_equal(sign_make(key, message, len, got), 0);
		assert_memory_equal(got, want, SIGN_LEN);
		assert_int_equal(sign_check(public, message, len, got), 0);
	}
}

static void test_every_bit_counts(void **state)
{
	_cleanup_sign_key_ struct sign_key *key = key_of(SECRET);
	struct sign_public public = *sign_key_public(key);
	uint8_t message[] = "what is signed", signature[SIGN_LEN];

	(void)state;
	assert_int_equal(sign_make(key, message, sizeof(message), signature),
			 0);
	for (unsigned i = 0; i < 8 * SIGN_LEN; i++) {
		signature[i / 8] ^= 1 << i % 8;
		assert_int_equal(sign_check(&public, message, sizeof(message),
					    signature),
				 -EKEYREJECTED);
		signature[i / 8] ^= 1 << i % 8;
	}
	for (unsigned i = 0; i < 8 * sizeof(message); i++) {
		message[i / 8] ^= 1 << i % 8;
		assert_int_equal(sign_check(&public, message, sizeof(message),
					    signature),
				 -EKEYREJECTED);
		message[i / 8] ^= 1 << i % 8;
	}
	assert_int_equal(sign_check(&public, message, sizeof(message) - 1,
				    signature),
			 -EKEYREJECTED);
	assert_int_equal(
		sign_check(&public, message, sizeof(message), signature), 0);
}

static void check_refused(const char *secret)
{
	struct sign_key *key;

	assert_int_equal(sign_key_parse(secret, &key), -EINVAL);
}

static void check_public_refused(const char *text)
{
	struct sign_public key;

	assert_int_equal(sign_public_parse(text, &key), -EINVAL);
}

static void test_texts(void **state)
{
	_cleanup_sign_key_ struct sign_key *key = key_of(SECRET " \r\n");
	_cleanup_sign_key_ struct sign_key *made = new_key("a");
	_cleanup_sign_key_ struct sign_key *again = NULL;
	char text[SIGN_TEXT_MAX], long_name[KEY_MAX + 2];
	struct sign_public public;

	(void)state;
	sign_key_text(key, text);
	assert_string_equal(text, SECRET);
	assert_true(sign_text_is_secret(text));
	sign_public_text(sign_key_public(key), text);
	assert_string_equal(text, PUBLIC);
	assert_false(sign_text_is_secret(text));
	assert_int_equal(sign_public_parse(PUBLIC, &public), 0);
	assert_string_equal(public.name, "ci");
	sign_key_text(made, text);
	again = key_of(text);
	assert_memory_equal(sign_key_public(made)->bytes,
			    sign_key_public(again)->bytes, SIGN_KEY_LEN);
	check_refused("");
	check_refused(PUBLIC);
	check_refused("larder-secret-key:");
	check_refused("larder-secret-key:ci:");
	check_refused(" " SECRET);
	check_refused(SECRET "=");
	check_refused(SECRET "\nmore");
	check_public_refused(SECRET);
	check_public_refused("");
	check_public_refused("ci");
	check_public_refused(PUBLIC " ");
	check_public_refused(
		"c i:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
	check_public_refused(":11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
	/* Other Base64 of the same bytes, a bit that is none, and white space */
	check_public_refused("ci:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=");
	check_public_refused("ci:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUR==");
	check_public_refused("ci:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURoA");
	check_public_refused("ci: 1qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
	check_public_refused("ci:-1qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
	memset(long_name, 'x', sizeof(long_name));
	long_name[KEY_MAX + 1] = '\0';
	sign_key_free(steal_ptr(&made));
	assert_int_equal(sign_key_new(long_name, &made), -EINVAL);
	assert_int_equal(sign_key_new(long_name + 1, &made), 0);
	sign_key_text(made, text);
	assert_int_equal(strlen(text), SIGN_TEXT_MAX - 1);
	sign_key_free(steal_ptr(&again));
	again = key_of(text);
	assert_string_equal(sign_key_public(again)->name, long_name + 1);
}

/* --- entries --- */

static struct entry make_entry(void)
{
	struct entry e = {
		.tenant = strdup("acme"),
		.namespace = strdup("web"),
		.name = strdup("modules"),
		.key = strdup("k2"),
		.branch = strdup("main"),
		.creator = strdup("me@here"),
		.parent = strdup("k1"),
		.parent_catalog = { { 1 } },
		.catalog = { { 2 } },
		.files = 3,
		.dirs = 4,
		.bytes = 5,
		.new_files = 6,
		.new_bytes = 7,
		.stored_bytes = 8,
		.created_ns = 9,
	};
	const struct digest d = { { 0xaa } };

	assert_int_equal(key_parts_add(&e.parts, "file", "lock", &d), 0);
	return e;
}

static struct trust *trusting(const struct sign_key *key)
{
	struct trust *t;
	char text[SIGN_TEXT_MAX];

	assert_int_equal(trust_new(&t), 0);
	sign_public_text(sign_key_public(key), text);
	assert_int_equal(trust_add(t, text), 0);
	return t;
}

static void set_text(char **field, const char *text)
{
	free(*field);
	*field = strdup(text);
}

/* Each way to make another entry of a signed one; what cannot be signed at all
 * counts as little. */
static void change(struct entry *e, unsigned how)
{
	const struct digest d = { { 0xbb } };

	switch (how) {
	case 0:
		return set_text(&e->tenant, "other");
	case 1:
		return set_text(&e->namespace, "other");
	case 2:
		return set_text(&e->name, "other");
	case 3: /* an older entry under a new key */
		return set_text(&e->key, "k3");
	case 4:
		return set_text(&e->branch, "other");
	case 5:
		return set_text(&e->creator, "other@here");
	case 6:
		return set_text(&e->parent, "k0");
	case 7:
		return set_text(&e->parent, "");
	case 8:
		e->parent_catalog.bytes[31] ^= 1;
		return;
	case 9:
		e->catalog.bytes[0] ^= 1;
		return;
	case 10:
		e->created_ns++;
		return;
	case 11:
		e->files++;
		return;
	case 12:
		e->dirs++;
		return;
	case 13:
		e->bytes++;
		return;
	case 14:
		e->new_files++;
		return;
	case 15:
		e->new_bytes++;
		return;
	case 16:
		e->stored_bytes++;
		return;
	case 17:
		e->parts.items[0].digest.bytes[0] ^= 1;
		return;
	case 18:
		assert_int_equal(key_parts_add(&e->parts, "salt", "", &d), 0);
		return;
	case 19: /* bytes that move from one field to the next */
		set_text(&e->name, "module");
		return set_text(&e->key, "sk2");
	case 20: /* somebody else's name on the same signature */
		memcpy(e->signatures[0].key, "cj", 3);
		return;
	case 21:
		e->signature_count = 0;
		return;
	default:
		e->signatures[0].bytes[SIGN_LEN - 1] ^= 1;
	}
}

#define CHANGES 23

static void test_all_of_an_entry_counts(void **state)
{
	_cleanup_sign_key_ struct sign_key *key = key_of(SECRET);
	_cleanup_trust_ struct trust *t = trusting(key);
	const struct sign_public *who = NULL;

	(void)state;
	for (unsigned how = 0; how < CHANGES; how++) {
		_cleanup_entry_ struct entry e = make_entry();

		assert_int_equal(trust_check(t, &e, &who), -EKEYREJECTED);
		assert_int_equal(entry_sign(&e, key), 0);
		assert_int_equal(trust_check(t, &e, &who), 0);
		assert_string_equal(who->name, "ci");
		change(&e, how);
		assert_int_equal(trust_check(t, &e, NULL), -EKEYREJECTED);
		/* Who trusts everybody, does. */
		assert_int_equal(trust_check(NULL, &e, NULL), 0);
	}
}

/* What is read back from bytes is as trusted as before. */
static void test_through_bytes(void **state)
{
	_cleanup_sign_key_ struct sign_key *key = key_of(SECRET);
	_cleanup_trust_ struct trust *t = trusting(key);
	_cleanup_entry_ struct entry e = make_entry(), got = ENTRY_INIT;
	_cleanup_entry_ struct entry copy = ENTRY_INIT;
	_cleanup_buf_ struct buf blob = BUF_INIT;

	(void)state;
	assert_int_equal(entry_sign(&e, key), 0);
	assert_int_equal(entry_encode(&e, &blob), 0);
	assert_int_equal(entry_decode(blob.data, blob.len, &got), 0);
	assert_int_equal(trust_check(t, &got, NULL), 0);
	assert_int_equal(entry_copy(&got, &copy), 0);
	entry_release(&got);
	assert_int_equal(trust_check(t, &copy, NULL), 0);
}

/* A new key for an old one: the entry has both signatures, and who trusts
 * either believes it. */
static void test_rotation(void **state)
{
	_cleanup_sign_key_ struct sign_key *old = new_key("ci-2025");
	_cleanup_sign_key_ struct sign_key *new = new_key("ci-2026");
	/* of the same name, and yet another one */
	_cleanup_sign_key_ struct sign_key *false_new = new_key("ci-2026");
	_cleanup_trust_ struct trust *of_old = trusting(old);
	_cleanup_trust_ struct trust *of_new = trusting(new);
	_cleanup_trust_ struct trust *of_both = trusting(false_new);
	_cleanup_entry_ struct entry e = make_entry();
	char text[SIGN_TEXT_MAX];
	const struct sign_public *who;

	(void)state;
	assert_int_equal(entry_sign(&e, new), 0);
	assert_int_equal(trust_check(of_old, &e, NULL), -EKEYREJECTED);
	assert_int_equal(trust_check(of_both, &e, NULL), -EKEYREJECTED);
	sign_public_text(sign_key_public(new), text);
	assert_int_equal(trust_add(of_both, text), 0);
	assert_int_equal(trust_check(of_both, &e, NULL), 0);
	assert_int_equal(entry_sign(&e, old), 0);
	assert_int_equal(e.signature_count, 2);
	assert_string_equal(e.signatures[0].key, "ci-2025");
	assert_int_equal(trust_check(of_old, &e, &who), 0);
	assert_string_equal(who->name, "ci-2025");
	assert_int_equal(trust_check(of_new, &e, &who), 0);
	assert_string_equal(who->name, "ci-2026");
	/* The same name again is one signature still, the last one. */
	assert_int_equal(entry_sign(&e, false_new), 0);
	assert_int_equal(e.signature_count, 2);
	assert_int_equal(trust_check(of_new, &e, NULL), -EKEYREJECTED);
}

static void test_limits(void **state)
{
	_cleanup_entry_ struct entry e = make_entry();
	_cleanup_trust_ struct trust *t = NULL;

	(void)state;
	for (unsigned i = 0; i <= ENTRY_SIGNATURES_MAX; i++) {
		char name[] = { 'z' - (char)i, '\0' };
		_cleanup_sign_key_ struct sign_key *key = new_key(name);

		assert_int_equal(entry_sign(&e, key),
				 i < ENTRY_SIGNATURES_MAX ? 0 : -EFBIG);
	}
	assert_int_equal(e.signature_count, ENTRY_SIGNATURES_MAX);
	assert_int_equal(trust_new(&t), 0);
	assert_int_equal(trust_add(t, "nonsense"), -EINVAL);
	for (unsigned i = 0; i < TRUST_KEYS_MAX; i++)
		assert_int_equal(trust_add(t, PUBLIC), 0);
	assert_int_equal(trust_add(t, PUBLIC), -EFBIG);
	/* Nobody, where nobody is named. */
	assert_int_equal(trust_check(t, &e, NULL), -EKEYREJECTED);
}

static void test_no_statement_of_a_bad_entry(void **state)
{
	_cleanup_sign_key_ struct sign_key *key = key_of(SECRET);
	_cleanup_entry_ struct entry e = make_entry();

	(void)state;
	log_set_level((enum log_level)0);
	set_text(&e.name, "not a name");
	assert_int_equal(entry_sign(&e, key), -EINVAL);
	assert_int_equal(e.signature_count, 0);
	log_set_level(LOG_LEVEL_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_all_of_an_entry_counts),
		cmocka_unit_test(test_through_bytes),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_statement_of_a_bad_entry),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

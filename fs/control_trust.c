/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of a call, and entries that are signed. */
#include "control_trust.h"

#include <errno.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/remote.h"

int control_trust_open(struct control_call *call, struct trust **ret_trust)
{
	const json_t *keys = json_object_get(call->params, "trusted_keys");
	_cleanup_trust_ struct trust *t = NULL;
	size_t i;
	json_t *key;
	int r;

	*ret_trust = NULL;
	if (json_array_size(keys) == 0)
		return 0;
	r = trust_new(&t);
	if (r < 0)
		return control_fail(call, r, "the trusted keys");
	json_array_foreach(keys, i, key)
	{
		const char *text = json_string_value(key);

		r = text ? trust_add(t, text) : -EINVAL;
		if (r == -EFBIG)
			return mounts_fail(&call->err, r, 2,
					   "more than %d keys are trusted",
					   TRUST_KEYS_MAX);
		if (r < 0)
			return mounts_fail(&call->err, r, 2,
					   "trusted key %zu is no public key",
					   i + 1);
	}
	*ret_trust = steal_ptr(&t);
	return 0;
}

static int sign_with(struct control_call *call, const struct sign_key *key,
		     struct entry *e)
{
	_cleanup_entry_ struct entry stored = ENTRY_INIT;
	int r = store_sign_entry(call->config->store, e, key, &stored);

	if (r == -EFBIG)
		return mounts_fail(
			&call->err, r, 1,
			"%s@%s has %d signatures already, and is not "
			"signed",
			e->name, e->key, ENTRY_SIGNATURES_MAX);
	if (r < 0)
		return control_fail(call, r, "signing the entry");
	entry_release(e);
	*e = stored;
	stored = (struct entry)ENTRY_INIT;
	return 0;
}

int control_sign(struct control_call *call, struct entry *e)
{
	const json_t *text = json_object_get(call->params, "sign_key");
	_cleanup_sign_key_ struct sign_key *key = NULL;
	int r;

	if (!text)
		return 0;
	r = json_is_string(text) ?
		    sign_key_parse(json_string_value(text), &key) :
		    -EINVAL;
	if (r == -EINVAL)
		return mounts_fail(&call->err, r, 2,
				   "what is to sign entries is no secret key");
	return r < 0 ? control_fail(call, r, "the key that signs") :
		       sign_with(call, key, e);
}

int control_add_trusted(struct control_call *call, const struct entry *e,
			json_t *object)
{
	_cleanup_trust_ struct trust *t = NULL;
	int r = control_trust_open(call, &t);

	if (r == 0)
		json_object_set_new(object, "trusted",
				    t ? json_boolean(trust_check(t, e, NULL) ==
						     0) :
					json_null());
	return r;
}

int control_fail_refused(struct control_call *call, const char *entry, int err)
{
	if (err == -EKEYEXPIRED)
		return mounts_fail(
			&call->err, err, 7,
			"%.200s: what the remote tiers have is older "
			"than what was here before; build it again, "
			"or name another entry",
			entry);
	return mounts_fail(&call->err, err, 7,
			   "%.200s: the remote tiers have it, but signed by no "
			   "key of trusted-keys (larder config --origin "
			   "trusted-keys)",
			   entry);
}

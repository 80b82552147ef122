/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/api/json.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/json_peer.h"
#include "vmm/param_net.h"
#include "vmm/param_ranges.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/* ---- text ---- */

#define JSON_KEYS_SHOWN 8u

/* A string at text[at], behind its quote: where it ends. */
static size_t json_string_end(const char *text, size_t at, size_t end)
{
	while (at < end && text[at] != '"')
		at += text[at] == '\\' ? 2 : 1;
	return MIN(at, end);
}

/*
 * Which field text[end] belongs to, "memory.size: ", where the text up to there
 * may be all that is right with it. "": none.
 */
static void json_where(const char *text, size_t end, char *out, size_t size)
{
	struct iovec keys[JSON_KEYS_SHOWN] = { { NULL, 0 } }, last = keys[0];
	size_t len = 0, depth = 0, stop;

	for (size_t i = 0; i < end; i++) {
		if (text[i] == '{' || text[i] == '[') {
			if (depth++ < JSON_KEYS_SHOWN)
				keys[depth - 1].iov_len = 0;
		} else if (text[i] == '}' || text[i] == ']') {
			depth -= depth > 0;
		} else if (text[i] == '"') {
			stop = json_string_end(text, i + 1, end);
			last.iov_base = (char *)(uintptr_t)text + i + 1;
			last.iov_len = stop - i - 1;
			i = stop;
		} else if (text[i] == ':' && depth &&
			   depth <= JSON_KEYS_SHOWN) {
			keys[depth - 1] = last;
		}
	}
	*out = '\0';
	for (size_t i = 0; i < MIN(depth, JSON_KEYS_SHOWN) && len < size; i++)
		if (keys[i].iov_len)
			len += (size_t)snprintf(out + len, size - len, "%s%.*s",
						len ? "." : "",
						(int)MIN(keys[i].iov_len, 40u),
						(const char *)keys[i].iov_base);
	if (len && len < size)
		snprintf(out + len, size - len, ": ");
}

json_t *json_read_text(const char *text, size_t len, struct error *err)
{
	char where[JSON_KEYS_SHOWN * 42];
	json_error_t jerr;
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &jerr);

	if (!value) {
		json_where(text, MIN((size_t)jerr.position, len), where,
			   sizeof(where));
		error_set(err, EBADMSG, "%s%s at line %d column %d", where,
			  jerr.text, jerr.line, jerr.column);
	}
	return value;
}

char *json_write_text(const json_t *value)
{
	return json_dumps(value,
			  JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
}

/* ---- one parameter ---- */

static const char *json_param_path(const struct param *p)
{
	return p->json ? p->json : p->name;
}

static const enum peer_type json_types[] = {
	[PARAM_BOOL] = PEER_BOOL,   [PARAM_UINT] = PEER_UINT,
	[PARAM_SIZE] = PEER_UINT,   [PARAM_STRING] = PEER_STRING,
	[PARAM_PATH] = PEER_STRING, [PARAM_ENUM] = PEER_STRING,
	[PARAM_FD] = PEER_UINT,	    [PARAM_FDS] = PEER_UINTS,
	[PARAM_MAC] = PEER_STRING,  [PARAM_IPV4] = PEER_STRING,
	[PARAM_WORDS] = PEER_WORD,  [PARAM_RANGES] = PEER_STRING,
};

/* Each one has one owner, and is used once. */
static int json_take_fd(const struct json_fds *fds, long long n, int *out,
			struct error *err)
{
	int fd;

	if (!fds || n >= fds->nr)
		return error_set(
			err, EINVAL,
			"is not the number of a descriptor; the request brought %u",
			fds ? fds->nr : 0);
	if (fds->fds[n] < 0)
		return error_set(err, EINVAL,
				 "is used already; send the descriptor twice");
	/* Not one of the numbers that stand for stdin and the like. */
	fd = fcntl(fds->fds[n], F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return error_set(err, EINVAL, "%s", error_text(errno));
	close_fd(&fds->fds[n]);
	close_fd(out);
	*out = fd;
	return 0;
}

/* One number, or a list of them; NULL: all that came. */
static int json_take_fds(const struct json_fds *fds, const json_t *value,
			 struct fd_list *out, struct error *err)
{
	size_t nr = json_is_array(value) ? json_array_size(value)
		    : value		 ? 1
					 : fds->nr;
	int r = 0;

	for (size_t i = 0; i < nr && !r; i++) {
		const json_t *one =
			json_is_array(value) ? json_array_get(value, i) : value;

		if (out->nr == FD_LIST_MAX)
			return error_set(err, EINVAL,
					 "too many; at most %u are possible",
					 FD_LIST_MAX);
		out->fds[out->nr] = -1;
		r = json_take_fd(fds,
				 one ? json_integer_value(one) : (long long)i,
				 &out->fds[out->nr++], err);
	}
	return r;
}

/* The command line's name of a JSON choice, for param_assign(). */
static const char *json_find_choice(const struct param *p, const char *text,
				    struct error *err)
{
	char all[256];

	for (const struct param_choice *c = p->choices; c->name; c++)
		if (strcmp(param_choice_name(c, true), text) == 0)
			return c->name;
	param_choices_text(p, true, ", ", all, sizeof(all));
	error_set(err, EINVAL, "'%.40s' is not one of %s",
		  error_value(text).text, all);
	return NULL;
}

/* value has the right type. */
static int json_assign(const struct param *p, void *cfg, const json_t *value,
		       const struct json_fds *fds, struct error *err)
{
	const char *text = json_string_value(value);
	void *field = (char *)cfg + p->offset;
	char number[24];

	if (p->type == PARAM_FD)
		return json_take_fd(fds, json_integer_value(value), field, err);
	if (p->type == PARAM_FDS)
		return json_take_fds(fds, value, field, err);
	if (p->type == PARAM_ENUM)
		text = json_find_choice(p, text, err);
	else if (json_is_boolean(value))
		text = json_is_true(value) ? "on" : "off";
	snprintf(number, sizeof(number), "%lld",
		 (long long)json_integer_value(value));
	if (json_is_integer(value))
		text = number;
	return text ? param_assign(p, cfg, text, err) : -EINVAL;
}

static int json_read_param(const struct param *p, void *cfg, const json_t *obj,
			   const char *where, const struct json_fds *fds,
			   struct error *err)
{
	const char *path = json_param_path(p);
	json_t *value;
	int r = json_get(obj, path, json_types[p->type], where, &value, err);

	if (!r && !value && p->type == PARAM_FDS && fds && fds->for_one) {
		r = json_take_fds(fds, NULL, (void *)((char *)cfg + p->offset),
				  err);
		return r ? error_prefix(err, r, "descriptors of the request")
			 : 0;
	}
	/* Clients send back what vm.info shows of a path that is not there. */
	if (r || !value ||
	    (p->type == PARAM_PATH && !json_string_length(value)))
		return r;
	r = json_assign(p, cfg, value, fds, err);
	return r ? error_prefix(err, r, "%s%s %s", where, path,
				json_shown(value).text)
		 : 0;
}

/* ---- sets ---- */

/* Fill cfg, which holds defaults, from obj; then param_check(). */
static int json_read_set(const struct param_set *set, void *cfg,
			 const json_t *obj, const char *where,
			 const struct json_fds *fds, struct error *err)
{
	int len = (int)strlen(where);
	int r;

	for (unsigned int i = 0; i < set->nr_params; i++) {
		r = json_read_param(&set->params[i], cfg, obj, where, fds, err);
		if (r)
			return r;
	}
	r = param_check(set, cfg, err);
	if (r && len)
		error_prefix(err, r, "%.*s", len - 1, where);
	return r;
}

/* Digits are a number, be it that they came as a string. */
static json_t *json_words(const char *text)
{
	if (text[strspn(text, "0123456789")] || strlen(text) > 18)
		return json_string(text);
	return json_integer(strtoll(text, NULL, 10));
}

static json_t *json_ranges(const struct id_ranges *ranges)
{
	char *text = param_ranges_text(ranges);
	json_t *value = text ? json_string(text) : NULL;

	free(text);
	return value;
}

/* The value of a field; *plain: it is the default. NULL: nothing to show. */
static json_t *json_param_value(const struct param *p, const void *cfg,
				bool *plain)
{
	const void *field = (const char *)cfg + p->offset;
	uint64_t v;

	*plain = false;
	if (param_is_unset(p, cfg))
		return NULL;
	switch (p->type) {
	case PARAM_STRING:
	case PARAM_PATH:
		return json_string(*(char *const *)field);
	case PARAM_FD:
	case PARAM_FDS:
		return NULL;
	case PARAM_WORDS:
		return json_words(*(char *const *)field);
	case PARAM_RANGES:
		return json_ranges(field);
	case PARAM_MAC:
		return json_string(param_mac_text(field).text);
	case PARAM_IPV4:
		return json_string(
			param_ipv4_text(*(const uint32_t *)field).text);
	case PARAM_BOOL:
		*plain = *(const bool *)field == (p->def != 0);
		return json_boolean(*(const bool *)field);
	case PARAM_ENUM:
		v = (uint64_t) * (const int *)field;
		*plain = v == p->def;
		return json_string(param_choice_name(&p->choices[v], true));
	default:
		v = *(const uint64_t *)field;
		*plain = v == p->def;
		return json_integer((json_int_t)MIN(v, (uint64_t)LLONG_MAX));
	}
}

void json_write_set(const struct param_set *set, const void *cfg, json_t *obj,
		    bool all)
{
	for (unsigned int i = 0; i < set->nr_params; i++) {
		const struct param *p = &set->params[i];
		const char *path = json_param_path(p);
		bool plain;
		json_t *value = json_param_value(p, cfg, &plain);
		json_t *parent = value ? json_parent(obj, &path, !plain) : NULL;

		if (parent && (all || !plain))
			json_object_set_new(parent, path, value);
		else
			json_decref(value);
	}
}

/* ---- devices ---- */

int json_read_device(struct device_config *dc, const json_t *obj,
		     const char *where, const struct json_fds *fds,
		     struct error *err)
{
	const struct device_class *class = dc->class;
	int r;

	dc->echo = json_object();
	r = json_peer_read(class->peer_keys, obj, where, dc->echo, err);
	if (!r)
		r = json_read_set(class->params, dc->config, obj, where, fds,
				  err);
	return r;
}

bool json_has_key(const struct param_set *set, const char *key)
{
	size_t len = strlen(key);

	for (unsigned int i = 0; i < set->nr_params; i++) {
		const char *path = json_param_path(&set->params[i]);

		if (strcspn(path, ".") == len && !strncmp(path, key, len))
			return true;
	}
	return false;
}

/* Add a key to a list of them, if it is not its last one. */
static void json_add_key(char *keys, size_t size, const char *key, size_t len)
{
	size_t used = strlen(keys);
	const char *last = strrchr(keys, ' ');

	last = last ? last + 1 : keys;
	if (strlen(last) != len || memcmp(last, key, len) != 0)
		snprintf(keys + used, size - used, "%s%.*s", used ? ", " : "",
			 (int)len, key);
}

int json_read_changes(const struct param_set *set, void *cfg, const json_t *obj,
		      struct error *err)
{
	char keys[128] = "";
	bool any = false;
	int r;

	for (unsigned int i = 0; i < set->nr_params; i++) {
		const struct param *p = &set->params[i];
		const char *path = json_param_path(p);
		size_t len = strcspn(path, ".");
		const json_t *group = json_object_getn(obj, path, len);

		if (!group || json_is_null(group)) {
			json_add_key(keys, sizeof(keys), path, len);
			continue;
		}
		any = true;
		param_unset(p, cfg);
		r = json_read_param(p, cfg, obj, "", NULL, err);
		if (r)
			return r;
	}
	return any ? 0 : error_set(err, EBADMSG, "give one of %s", keys);
}

static int json_read_entry(struct vm_config *vc,
			   const struct device_class *class, const json_t *obj,
			   const char *where, const struct json_fds *fds,
			   struct error *err)
{
	struct device_config *dc = vm_config_add_device(vc, class, err);

	return dc ? json_read_device(dc, obj, where, fds, err) : -EINVAL;
}

/* "disks": a list of objects. "vsock": of a class of which there is one, the
 * object itself. */
static int json_read_list(struct vm_config *vc,
			  const struct device_class *class, const json_t *root,
			  const struct json_fds *fds, struct error *err)
{
	const char *name = class->json_list;
	json_t *value = json_object_get(root, name);
	char where[48];
	size_t n;
	int r = 0;

	if (!value || json_is_null(value))
		return 0;
	if (class->single) {
		snprintf(where, sizeof(where), "%s.", name);
		return json_read_entry(vc, class, value, where, fds, err);
	}
	if (!json_is_array(value))
		return error_set(err, EBADMSG, "%s: must be a list", name);
	/* A list that is empty is shown, too. */
	json_object_set_new(vc->echo, name, json_array());
	n = json_array_size(value);
	for (size_t i = 0; !r && i < n; i++) {
		snprintf(where, sizeof(where), "%s[%zu].", name, i);
		r = json_read_entry(vc, class, json_array_get(value, i), where,
				    fds, err);
	}
	return r;
}

/* Not a device, but a list of objects even so. */
#define JSON_RULES "landlock_rules"

static int json_read_rules(struct vm_config *vc, const json_t *root,
			   struct error *err)
{
	json_t *list = json_object_get(root, JSON_RULES);
	char where[40];
	int r = 0;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return error_set(err, EBADMSG, JSON_RULES ": must be a list");
	for (size_t i = 0; !r && i < json_array_size(list); i++) {
		struct rule_config *rule = vm_config_add_rule(vc, err);

		if (!rule)
			return -E2BIG;
		snprintf(where, sizeof(where), JSON_RULES "[%zu].", i);
		r = json_read_set(&rule_params, rule, json_array_get(list, i),
				  where, NULL, err);
	}
	return r;
}

static void json_write_rules(const struct vm_config *vc, json_t *out)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < vc->nr_rules; i++) {
		json_t *obj = json_object();

		json_write_set(&rule_params, &vc->rules[i], obj, true);
		json_array_append_new(list, obj);
	}
	json_object_set_new(out, JSON_RULES, list);
}

/* ---- whole configurations ---- */

static const struct json_section {
	const char *name;
	const struct param_set *set;
	size_t offset; /* in vm_config */
} json_sections[] = {
	{ "cpus", &cpus_params, offsetof(struct vm_config, cpus) },
	{ "memory", &memory_params, offsetof(struct vm_config, memory) },
	{ "serial", &serial_params, offsetof(struct vm_config, serial) },
};

static int json_read_sections(struct vm_config *vc, const json_t *root,
			      struct error *err)
{
	char where[24];
	int r = 0;

	for (unsigned int i = 0; !r && i < ARRAY_SIZE(json_sections); i++) {
		const struct json_section *s = &json_sections[i];
		json_t *obj = json_object_get(root, s->name);

		if (!obj || json_is_null(obj))
			continue;
		snprintf(where, sizeof(where), "%s.", s->name);
		r = json_read_set(s->set, (char *)vc + s->offset, obj, where,
				  NULL, err);
	}
	return r;
}

static int json_read_payload(struct vm_config *vc, const json_t *root,
			     const struct json_fds *fds, struct error *err)
{
	json_t *payload = json_object_get(root, "payload");
	int r;

	if (!payload || json_is_null(payload))
		return error_set(err, EBADMSG,
				 "payload: is missing; give payload.kernel");
	r = json_read_set(&payload_params, vc, root, "", fds, err);
	if (!r && !vc->kernel && vc->kernel_fd < 0)
		r = error_set(err, EBADMSG,
			      "payload.kernel: is missing; give a path");
	return r;
}

int json_read_config(struct vm_config *vc, const json_t *root,
		     const struct json_fds *fds, struct error *err)
{
	int r;

	vc->echo = json_object();
	/* A client that does not ask for a console has no use for our stdin
	 * and stdout. */
	vc->serial.mode = SERIAL_NULL;
	r = json_peer_read(json_peer_config, root, "", vc->echo, err);
	if (!r)
		r = json_read_payload(vc, root, fds, err);
	if (!r)
		r = json_read_sections(vc, root, err);
	if (!r)
		r = json_read_rules(vc, root, err);
	for (unsigned int i = 0; !r && device_classes[i]; i++)
		r = json_read_list(vc, device_classes[i], root, fds, err);
	return r;
}

/* ---- the echo ---- */

static json_t *json_write_device(const struct device_config *dc)
{
	json_t *obj = dc->echo ? json_deep_copy(dc->echo) : json_object();

	json_write_set(dc->class->params, dc->config, obj, true);
	json_peer_write(dc->class->peer_keys, obj);
	return obj;
}

static void json_write_devices(const struct vm_config *vc, json_t *out)
{
	for (unsigned int i = 0; i < vc->nr_devices; i++) {
		const struct device_config *dc = &vc->devices[i];
		const char *name = dc->class->json_list;

		if (dc->class->single) {
			json_object_set_new(out, name, json_write_device(dc));
			continue;
		}
		if (!json_object_get(out, name))
			json_object_set_new(out, name, json_array());
		json_array_append_new(json_object_get(out, name),
				      json_write_device(dc));
	}
}

json_t *json_write_config(const struct vm_config *vc)
{
	json_t *out = vc->echo ? json_deep_copy(vc->echo) : json_object();

	json_write_set(&payload_params, vc, out, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(json_sections); i++) {
		const struct json_section *s = &json_sections[i];

		if (!json_object_get(out, s->name))
			json_object_set_new(out, s->name, json_object());
		json_write_set(s->set, (const char *)vc + s->offset,
			       json_object_get(out, s->name), true);
	}
	json_write_devices(vc, out);
	if (vc->nr_rules)
		json_write_rules(vc, out);
	if (*vc->serial.pty)
		json_path_set(out, "serial.file", json_string(vc->serial.pty));
	json_peer_write(json_peer_config, out);
	json_path_set(out, "cpus.max_vcpus", json_integer(cpus_max(&vc->cpus)));
	/* A client that reads it asks for more memory. */
	if (!vc->memory.hotplug_size)
		json_object_del(json_object_get(out, "memory"), "hotplug_size");
	return out;
}

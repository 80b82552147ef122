/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/api/json_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util.h"

#define JSON_PEER_STRING_MAX 4096u /* bytes of what is kept */
#define JSON_PEER_SHOWN 48u /* bytes of a value in a message */

/* ---- the keys ---- */

#define NO_DEVICE "this monitor has no such device"
#define NO_SMBIOS "this monitor has no SMBIOS tables"
#define NO_CONFIDENTIAL "confidential guests are not supported"

#define KEEP PEER_KEEP
#define ONLY PEER_ONLY
#define NONE PEER_NONE
#define KEEP_DEF(p, t, d)                      \
	{                                      \
		.path = p, .type = t, .def = d \
	}

const struct peer_key json_peer_config[] = {
	KEEP("payload", PEER_OBJECT),
	NONE("payload.firmware", PEER_STRING,
	     "there is no firmware; give a kernel"),
	NONE("payload.igvm", PEER_STRING, NO_CONFIDENTIAL),
	NONE("payload.host_data", PEER_STRING, NO_CONFIDENTIAL),
	NONE("payload.mrconfigid", PEER_STRING, NO_CONFIDENTIAL),
	{ .path = "cpus.max_phys_bits",
	  .type = PEER_UINT,
	  .def = "46",
	  .always = true },
	KEEP("cpus.topology", PEER_OBJECT),
	KEEP_DEF("cpus.topology.threads_per_core", PEER_UINT, "1"),
	KEEP_DEF("cpus.topology.cores_per_die", PEER_UINT, "1"),
	KEEP_DEF("cpus.topology.dies_per_package", PEER_UINT, "1"),
	KEEP_DEF("cpus.topology.packages", PEER_UINT, "1"),
	NONE("cpus.kvm_hyperv", PEER_BOOL,
	     "Hyper-V enlightenments are not supported"),
	NONE("cpus.affinity", PEER_LIST, "pin the threads vcpuN from outside"),
	KEEP("cpus.features", PEER_OBJECT),
	KEEP("cpus.features.amx", PEER_BOOL),
	KEEP("cpus.profile", PEER_STRING),
	ONLY("memory.hotplug_method", PEER_STRING, "Acpi",
	     "memory grows by ACPI only"),
	KEEP("memory.hotplug_size", PEER_UINT),
	NONE("memory.hotplugged_size", PEER_UINT, "use size"),
	ONLY("memory.hugepage_size", PEER_UINT, "2097152",
	     "huge pages have 2 MiB"),
	NONE("memory.zones", PEER_LIST, "memory zones are not supported"),
	KEEP("memory.reserve", PEER_BOOL),
	NONE("serial.iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	NONE("serial.socket", PEER_STRING,
	     "a serial port on a socket is not supported"),
	{ .path = "console.mode",
	  .type = PEER_STRING,
	  .pass = "Off|Null",
	  .why = "there is no virtio console; use serial",
	  .def = "\"Off\"",
	  .always = true },
	KEEP("console.file", PEER_STRING),
	NONE("console.iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	NONE("console.socket", PEER_STRING,
	     "there is no virtio console; use serial"),
	ONLY("debug_console.mode", PEER_STRING, "Off|Null",
	     "there is no debug console; use serial"),
	KEEP("debug_console.file", PEER_STRING),
	KEEP("debug_console.iobase", PEER_UINT),
	KEEP("rng", PEER_OBJECT),
	KEEP_DEF("rng.src", PEER_STRING, "\"/dev/urandom\""),
	NONE("rng.iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	KEEP("platform", PEER_OBJECT),
	KEEP_DEF("platform.num_pci_segments", PEER_UINT, "1"),
	NONE("platform.iommu_segments", PEER_LIST, PEER_NO_SEGMENTS),
	KEEP("platform.iommu_address_width", PEER_UINT),
	NONE("platform.serial_number", PEER_STRING, NO_SMBIOS),
	NONE("platform.uuid", PEER_STRING, NO_SMBIOS),
	NONE("platform.oem_strings", PEER_LIST, NO_SMBIOS),
	NONE("platform.tdx", PEER_BOOL, NO_CONFIDENTIAL),
	NONE("platform.sev_snp", PEER_BOOL, NO_CONFIDENTIAL),
	KEEP("platform.vfio_p2p_dma", PEER_BOOL),
	NONE("iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	NONE("watchdog", PEER_BOOL, NO_DEVICE),
	NONE("pvpanic", PEER_BOOL, NO_DEVICE),
	NONE("balloon", PEER_OBJECT, NO_DEVICE),
	NONE("pmem", PEER_LIST, NO_DEVICE),
	NONE("devices", PEER_LIST, "VFIO is not supported"),
	NONE("user_devices", PEER_LIST, "vfio-user is not supported"),
	NONE("vdpa", PEER_LIST, "vDPA is not supported"),
	NONE("generic_vhost_user", PEER_LIST, "vhost-user is not supported"),
	NONE("tpm", PEER_OBJECT, NO_DEVICE),
	NONE("numa", PEER_LIST, "NUMA is not supported"),
	NONE("pci_segments", PEER_LIST, PEER_NO_SEGMENTS),
	NONE("rate_limit_groups", PEER_LIST,
	     "use rate_limiter_config of each device"),
	NONE("preserved_fds", PEER_LIST, "restoring is not supported yet"),
	{ 0 },
};

/* ---- paths ---- */

json_t *json_parent(json_t *obj, const char **path, bool make)
{
	size_t len = strcspn(*path, ".");

	for (; obj && (*path)[len]; len = strcspn(*path, ".")) {
		json_t *next = json_object_getn(obj, *path, len);

		if (!next && make) {
			next = json_object();
			json_object_setn_new(obj, *path, len, next);
		}
		obj = next;
		*path += len + 1;
	}
	return obj;
}

void json_path_set(json_t *obj, const char *path, json_t *value)
{
	obj = json_parent(obj, &path, true);
	json_object_set_new(obj, path, value);
}

static bool json_is_of_uints(const json_t *list)
{
	size_t i;
	json_t *value;

	json_array_foreach ((json_t *)(uintptr_t)list, i, value)
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return false;
	return true;
}

static bool json_is_of(const json_t *value, enum peer_type type)
{
	switch (type) {
	case PEER_BOOL:
		return json_is_boolean(value);
	case PEER_UINT:
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case PEER_STRING:
		return json_is_string(value);
	case PEER_LIST:
		return json_is_array(value);
	case PEER_OBJECT:
		return json_is_object(value);
	case PEER_WORD:
		return json_is_string(value) || json_is_of(value, PEER_UINT);
	case PEER_UINTS:
		return json_is_array(value) ? json_is_of_uints(value)
					    : json_is_of(value, PEER_UINT);
	}
	return false;
}

/* What where and the first len bytes of path lead to is something else. */
static int json_no_object(const char *where, const char *path, ptrdiff_t len,
			  struct error *err)
{
	char name[128];
	int n = snprintf(name, sizeof(name), "%s%.*s", where, (int)len, path);

	/* Without the dot. */
	if (n)
		name[MIN(n, (int)sizeof(name)) - 1] = '\0';
	return error_set(err, EBADMSG, "%s: must be an object",
			 n ? name : "the body");
}

int json_get(const json_t *obj, const char *path, enum peer_type type,
	     const char *where, json_t **value, struct error *err)
{
	static const char *const types[] = {
		[PEER_BOOL] = "true or false",
		[PEER_UINT] = "an integer, 0 or more",
		[PEER_STRING] = "a string",
		[PEER_LIST] = "a list",
		[PEER_OBJECT] = "an object",
		[PEER_WORD] = "a string or an integer, 0 or more",
		[PEER_UINTS] = "an integer, 0 or more, or a list of them",
	};
	const char *part = path;
	size_t len = 0;

	*value = NULL;
	for (bool more = true; more; part += len + 1) {
		if (!json_is_object(obj))
			return json_no_object(where, path, part - path, err);
		len = strcspn(part, ".");
		obj = json_object_getn(obj, part, len);
		if (!obj || json_is_null(obj))
			return 0;
		more = part[len];
	}
	if (!json_is_of(obj, type))
		return error_set(err, EBADMSG, "%s%s: must be %s, not %s",
				 where, path, types[type],
				 json_shown(obj).text);
	*value = (json_t *)(uintptr_t)obj;
	return 0;
}

struct error_value json_shown(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII |
					       JSON_ENCODE_ANY);
	struct error_value shown;

	if (text && strlen(text) > JSON_PEER_SHOWN)
		memcpy(text + JSON_PEER_SHOWN - 3, "...", sizeof("..."));
	shown = error_value(text ? text : "?");
	free(text);
	return shown;
}

/* ---- checks ---- */

/* Is text one of "a|b|c"? */
static bool json_peer_in_list(const char *list, const char *text)
{
	size_t len = strlen(text);

	if (strchr(text, '|'))
		return false;
	for (const char *s = list;; s++) {
		if (strncmp(s, text, len) == 0 && (!s[len] || s[len] == '|'))
			return true;
		s = strchr(s, '|');
		if (!s)
			return false;
	}
}

static bool json_peer_passes(const struct peer_key *pk, const json_t *value)
{
	char number[24];

	switch (pk->type) {
	case PEER_BOOL:
		return !json_is_true(value);
	case PEER_UINT:
		snprintf(number, sizeof(number), "%lld",
			 (long long)json_integer_value(value));
		return !json_integer_value(value) ||
		       json_peer_in_list(pk->pass, number);
	case PEER_STRING:
		return json_peer_in_list(pk->pass, json_string_value(value));
	case PEER_LIST:
		return !json_array_size(value);
	default:
		return !json_object_size(value);
	}
}

static int json_peer_read_key(const struct peer_key *pk, const json_t *obj,
			      const char *where, json_t *echo,
			      struct error *err)
{
	json_t *value;
	int r = json_get(obj, pk->path, pk->type, where, &value, err);

	if (r || !value)
		return r;
	if (pk->pass && !json_peer_passes(pk, value))
		return error_set(err, EINVAL, "%s%s %s: %s", where, pk->path,
				 json_shown(value).text, pk->why);
	if (json_string_length(value) > JSON_PEER_STRING_MAX)
		return error_set(err, EINVAL, "%s%s: is too long", where,
				 pk->path);
	/* Of groups only the known members are kept. */
	json_path_set(echo, pk->path,
		      json_is_object(value) ? json_object()
					    : json_incref(value));
	return 0;
}

int json_peer_read(const struct peer_key *table, const json_t *obj,
		   const char *where, json_t *echo, struct error *err)
{
	int r = 0;

	for (const struct peer_key *pk = table; !r && pk && pk->path; pk++)
		r = json_peer_read_key(pk, obj, where, echo, err);
	return r;
}

void json_peer_write(const struct peer_key *table, json_t *obj)
{
	for (const struct peer_key *pk = table; pk && pk->path; pk++) {
		const char *last = pk->path;
		json_t *parent;

		if (!pk->def)
			continue;
		parent = json_parent(obj, &last, pk->always);
		if (parent && !json_object_get(parent, last))
			json_object_set_new(
				parent, last,
				json_loads(pk->def, JSON_DECODE_ANY, NULL));
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/api/json_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/device.h"
#include "vmm/util.h"

#define JSON_PEER_STRING_MAX 4096u /* bytes of what is kept */
#define JSON_PEER_SHOWN 48u /* bytes of a value in a message */

/* ---- the keys ---- */

#define NO_DEVICE "this monitor has no such device"
#define NO_SEGMENTS "there is one PCI segment, without an IOMMU"
#define NO_SMBIOS "this monitor has no SMBIOS tables"
#define NO_CONFIDENTIAL "confidential guests are not supported"
#define NO_VHOST_USER "vhost-user disks are not supported"

#define KEEP(p, t)                   \
	{                            \
		.path = p, .type = t \
	}
#define KEEP_DEF(p, t, d)                      \
	{                                      \
		.path = p, .type = t, .def = d \
	}
#define ONLY(p, t, values, reason)                                  \
	{                                                           \
		.path = p, .type = t, .pass = values, .why = reason \
	}
#define NONE(p, t, reason) ONLY(p, t, "", reason)

const struct json_peer json_peer_config[] = {
	KEEP("payload", JSON_OBJECT),
	NONE("payload.firmware", JSON_STRING,
	     "there is no firmware; give a kernel"),
	NONE("payload.igvm", JSON_STRING, NO_CONFIDENTIAL),
	NONE("payload.host_data", JSON_STRING, NO_CONFIDENTIAL),
	NONE("payload.mrconfigid", JSON_STRING, NO_CONFIDENTIAL),
	{ .path = "cpus.max_phys_bits",
	  .type = JSON_INTEGER,
	  .def = "46",
	  .always = true },
	KEEP("cpus.topology", JSON_OBJECT),
	KEEP_DEF("cpus.topology.threads_per_core", JSON_INTEGER, "1"),
	KEEP_DEF("cpus.topology.cores_per_die", JSON_INTEGER, "1"),
	KEEP_DEF("cpus.topology.dies_per_package", JSON_INTEGER, "1"),
	KEEP_DEF("cpus.topology.packages", JSON_INTEGER, "1"),
	NONE("cpus.kvm_hyperv", JSON_TRUE,
	     "Hyper-V enlightenments are not supported"),
	NONE("cpus.affinity", JSON_ARRAY, "pin the threads vcpuN from outside"),
	KEEP("cpus.features", JSON_OBJECT),
	KEEP("cpus.features.amx", JSON_TRUE),
	KEEP("cpus.nested", JSON_TRUE),
	KEEP("cpus.core_scheduling", JSON_STRING),
	KEEP("cpus.profile", JSON_STRING),
	ONLY("memory.hotplug_method", JSON_STRING, "Acpi",
	     "memory grows by ACPI only"),
	KEEP("memory.hotplug_size", JSON_INTEGER),
	NONE("memory.hotplugged_size", JSON_INTEGER, "use size"),
	ONLY("memory.hugepage_size", JSON_INTEGER, "2097152",
	     "huge pages have 2 MiB"),
	NONE("memory.zones", JSON_ARRAY, "memory zones are not supported"),
	KEEP("memory.reserve", JSON_TRUE),
	NONE("serial.iommu", JSON_TRUE, NO_SEGMENTS),
	NONE("serial.socket", JSON_STRING,
	     "a serial port on a socket is not supported"),
	{ .path = "console.mode",
	  .type = JSON_STRING,
	  .pass = "Off|Null",
	  .why = "there is no virtio console; use serial",
	  .def = "\"Off\"",
	  .always = true },
	KEEP("console.file", JSON_STRING),
	NONE("console.iommu", JSON_TRUE, NO_SEGMENTS),
	NONE("console.socket", JSON_STRING,
	     "there is no virtio console; use serial"),
	ONLY("debug_console.mode", JSON_STRING, "Off|Null",
	     "there is no debug console; use serial"),
	KEEP("debug_console.file", JSON_STRING),
	KEEP("debug_console.iobase", JSON_INTEGER),
	KEEP("rng", JSON_OBJECT),
	KEEP_DEF("rng.src", JSON_STRING, "\"/dev/urandom\""),
	NONE("rng.iommu", JSON_TRUE, NO_SEGMENTS),
	KEEP("platform", JSON_OBJECT),
	KEEP_DEF("platform.num_pci_segments", JSON_INTEGER, "1"),
	NONE("platform.iommu_segments", JSON_ARRAY, NO_SEGMENTS),
	KEEP("platform.iommu_address_width", JSON_INTEGER),
	NONE("platform.serial_number", JSON_STRING, NO_SMBIOS),
	NONE("platform.uuid", JSON_STRING, NO_SMBIOS),
	NONE("platform.oem_strings", JSON_ARRAY, NO_SMBIOS),
	NONE("platform.tdx", JSON_TRUE, NO_CONFIDENTIAL),
	NONE("platform.sev_snp", JSON_TRUE, NO_CONFIDENTIAL),
	KEEP("platform.vfio_p2p_dma", JSON_TRUE),
	NONE("iommu", JSON_TRUE, NO_SEGMENTS),
	NONE("watchdog", JSON_TRUE, NO_DEVICE),
	NONE("pvpanic", JSON_TRUE, NO_DEVICE),
	NONE("balloon", JSON_OBJECT, NO_DEVICE),
	NONE("pmem", JSON_ARRAY, NO_DEVICE),
	NONE("devices", JSON_ARRAY, "VFIO is not supported"),
	NONE("user_devices", JSON_ARRAY, "vfio-user is not supported"),
	NONE("vdpa", JSON_ARRAY, "vDPA is not supported"),
	NONE("generic_vhost_user", JSON_ARRAY, "vhost-user is not supported"),
	NONE("tpm", JSON_OBJECT, NO_DEVICE),
	NONE("numa", JSON_ARRAY, "NUMA is not supported"),
	NONE("pci_segments", JSON_ARRAY, NO_SEGMENTS),
	NONE("rate_limit_groups", JSON_ARRAY,
	     "use rate_limiter_config of each device"),
	NONE("landlock_enable", JSON_TRUE, "Landlock is not supported yet"),
	NONE("landlock_rules", JSON_ARRAY, "Landlock is not supported yet"),
	NONE("preserved_fds", JSON_ARRAY, "restoring is not supported yet"),
	/* Until there is a device class with this list. */
	NONE("fs", JSON_ARRAY, "virtio-fs is not there yet"),
	NONE("net", JSON_ARRAY, "virtio-net is not there yet"),
	NONE("vsock", JSON_OBJECT, "virtio-vsock is not there yet"),
	{ 0 },
};

static const struct json_peer json_peer_disks[] = {
	ONLY("image_type", JSON_STRING, "Raw|Unknown",
	     "only raw images are supported"),
	NONE("iommu", JSON_TRUE, NO_SEGMENTS),
	NONE("vhost_user", JSON_TRUE, NO_VHOST_USER),
	NONE("vhost_socket", JSON_STRING, NO_VHOST_USER),
	NONE("rate_limit_group", JSON_STRING, "use rate_limiter_config"),
	NONE("queue_affinity", JSON_ARRAY, "pin the threads ioN from outside"),
	KEEP("pci_segment", JSON_INTEGER),
	NONE("pci_device_id", JSON_INTEGER, "slots are given in order"),
	KEEP("backing_files", JSON_TRUE),
	KEEP("disable_io_uring", JSON_TRUE),
	KEEP("disable_aio", JSON_TRUE),
	KEEP("lock_granularity", JSON_STRING),
	KEEP("rate_limiter_config", JSON_OBJECT),
	{ 0 },
};

static const struct {
	const char *list;
	const struct json_peer *table;
} json_peer_lists[] = {
	{ "disks", json_peer_disks },
};

const struct json_peer *json_peer_find(const char *list)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(json_peer_lists); i++)
		if (strcmp(json_peer_lists[i].list, list) == 0)
			return json_peer_lists[i].table;
	return NULL;
}

/* ---- paths ---- */

int json_path_get(const json_t *obj, const char *path, const char *where,
		  json_t **value, struct error *err)
{
	const char *part = path;
	size_t len;

	*value = NULL;
	for (;;) {
		if (!json_is_object(obj))
			return error_set(err, EBADMSG,
					 "%s%.*s: must be an object", where,
					 (int)MAX(part - path - 1, 0), path);
		len = strcspn(part, ".");
		obj = json_object_getn(obj, part, len);
		if (!obj || json_is_null(obj))
			return 0;
		if (!part[len])
			break;
		part += len + 1;
	}
	*value = (json_t *)(uintptr_t)obj;
	return 0;
}

void json_path_set(json_t *obj, const char *path, json_t *value)
{
	size_t len;

	for (;; path += len + 1) {
		json_t *next;

		len = strcspn(path, ".");
		if (!path[len])
			break;
		next = json_object_getn(obj, path, len);
		if (!json_is_object(next)) {
			next = json_object();
			json_object_setn_new(obj, path, len, next);
		}
		obj = next;
	}
	json_object_set_new(obj, path, value);
}

bool json_path_has_parent(const json_t *obj, const char *path)
{
	size_t len;

	for (; obj; path += len + 1) {
		len = strcspn(path, ".");
		if (!path[len])
			return true;
		obj = json_object_getn(obj, path, len);
	}
	return false;
}

const char *json_type_text(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer, 0 or more";
	default:
		return "true or false";
	}
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

static bool json_peer_is_type(const json_t *value, json_type type)
{
	if (type == JSON_TRUE)
		return json_is_boolean(value);
	if (type == JSON_INTEGER && json_integer_value(value) < 0)
		return false;
	return json_typeof(value) == type;
}

static bool json_peer_is_empty(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return json_object_size(value) == 0;
	case JSON_ARRAY:
		return json_array_size(value) == 0;
	case JSON_STRING:
		return json_string_length(value) == 0;
	case JSON_INTEGER:
		return json_integer_value(value) == 0;
	default:
		return !json_is_true(value);
	}
}

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

static bool json_peer_passes(const struct json_peer *jp, const json_t *value)
{
	char number[24];

	if (!jp->pass)
		return true;
	/* "" is no name of a mode: who reads it back would not know it. */
	if (json_is_string(value) && !json_string_length(value))
		return !*jp->pass;
	if (json_peer_is_empty(value))
		return true;
	if (json_is_string(value))
		return json_peer_in_list(jp->pass, json_string_value(value));
	if (!json_is_integer(value))
		return false;
	snprintf(number, sizeof(number), "%lld",
		 (long long)json_integer_value(value));
	return json_peer_in_list(jp->pass, number);
}

static int json_peer_check(const struct json_peer *jp, const json_t *value,
			   const char *where, struct error *err)
{
	if (!json_peer_is_type(value, jp->type))
		return error_set(err, EBADMSG, "%s%s: must be %s, not %s",
				 where, jp->path, json_type_text(jp->type),
				 json_shown(value).text);
	if (!json_peer_passes(jp, value))
		return error_set(err, EINVAL, "%s%s %s: %s", where, jp->path,
				 json_shown(value).text, jp->why);
	if (json_string_length(value) > JSON_PEER_STRING_MAX)
		return error_set(err, EINVAL, "%s%s: is too long", where,
				 jp->path);
	return 0;
}

/* A device class of ours has this list; the entry is for builds without. */
static bool json_peer_has_class(const char *path)
{
	for (unsigned int i = 0; device_classes[i]; i++) {
		const char *list = device_classes[i]->json_list;

		if (list && strcmp(list, path) == 0)
			return true;
	}
	return false;
}

int json_peer_read(const struct json_peer *table, const json_t *obj,
		   const char *where, json_t *kept, struct error *err)
{
	json_t *value;
	int r;

	for (const struct json_peer *jp = table; jp && jp->path; jp++) {
		if (json_peer_has_class(jp->path))
			continue;
		r = json_path_get(obj, jp->path, where, &value, err);
		if (!r && value)
			r = json_peer_check(jp, value, where, err);
		if (r)
			return r;
		if (!value)
			continue;
		/* Of groups only the known members are kept. */
		if (json_is_object(value))
			json_path_set(kept, jp->path, json_object());
		else
			json_path_set(kept, jp->path, json_incref(value));
	}
	return 0;
}

void json_peer_write(const struct json_peer *table, json_t *obj)
{
	struct error none;
	json_t *value;

	for (const struct json_peer *jp = table; jp && jp->path; jp++) {
		if (!jp->def ||
		    json_path_get(obj, jp->path, "", &value, &none) || value)
			continue;
		if (jp->always || json_path_has_parent(obj, jp->path))
			json_path_set(
				obj, jp->path,
				json_loads(jp->def, JSON_DECODE_ANY, NULL));
	}
}

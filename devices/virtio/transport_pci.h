/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_TRANSPORT_PCI_H
#define DEVICES_VIRTIO_TRANSPORT_PCI_H

#include <stdint.h>

#include "devices/virtio/virtio.h"
#include "vmm/error.h"

/*
 * Give dev (virtio_init() done) a place on the PCI bus, as virtio 1.2 section
 * 4.1 has it, and set its transport. Main thread.
 * @class_code: PCI class, subclass, interface, 24 bits
 * -ENOSPC: no slot left; -ENOMEM. With a message.
 */
int vpci_attach(struct virtio_dev *dev, uint32_t class_code, struct error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio-vsock (virtio 1.2 section 5.10): parameters, queues, and the device's
 * life. Only stream sockets: what the host side speaks is a stream from its first
 * line on, and a message of SOCK_SEQPACKET would have to be held here as a whole
 * before the host may have it.
 */
#include "devices/virtio/vsock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include "devices/registry.h"
#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio_limit.h"
#include "devices/virtio/vsock_rx.h"
#include "vmm/board.h"
#include "vmm/iov.h"
#include "vmm/log.h"
#include "vmm/opener_protocol.h"
#include "vmm/syscall_rule.h"

#define VSOCK_F_STREAM 0
#define VSOCK_PCI_CLASS 0x078000 /* communication, other */
#define VSOCK_QUEUE_SIZE 256u
#define VSOCK_CONNECTIONS_MAX 8192u
/* Clients that are accepted before others have their turn. */
#define VSOCK_ACCEPTS 16u
/* The host has no descriptors left: try again after this time. */
#define VSOCK_ACCEPT_RETRY_NS 100000000ull
/* Packets and bytes that are taken before the host gets them: few system calls,
 * and all of guest, device and host have something to do. */
#define VSOCK_BATCH 16u
#define VSOCK_BATCH_LEN (128u << 10)
/* A message that may have an answer soon. */
#define VSOCK_SHORT_LEN 4096u
#define VSOCK_ANSWER_MIN_NS 1000u
#define VSOCK_TRY_AGAIN 16u

struct vsock_config {
	uint64_t cid;
	char *socket;
	int fd;
	char *id;
	uint64_t connections;
	uint64_t poll_us;
	struct limits_config limits;
};

/* clang-format off: one line, one thing to say */
static const struct param vsock_params[] = {
	PARAM("cid", UINT, struct vsock_config, cid, "the guest's address",
	      .required = true, .min = 3, .max = UINT32_MAX - 1),
	PARAM("socket", PATH, struct vsock_config, socket,
	      "Unix socket for programs of the host: they write CONNECT and a "
	      "port; port N of the host is the socket with _N behind its path",
	      .max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1),
	PARAM("fd", FD, struct vsock_config, fd,
	      "descriptor of a listening Unix socket, instead of socket",
	      .min = STDERR_FILENO + 1),
	PARAM("id", STRING, struct vsock_config, id,
	      "name of the device for later requests", .max = 63),
	PARAM("connections", UINT, struct vsock_config, connections,
	      "connections at a time; each costs a descriptor, and at most "
	      "64 KiB while the host does not read",
	      .def = 1023, .min = 1, .max = VSOCK_CONNECTIONS_MAX),
	PARAM("poll_us", UINT, struct vsock_config, poll_us,
	      "longest busy wait for the guest's answer to a short message",
	      .unit = "us", .def = 10, .max = 1000),
	LIMITS_PARAMS(struct vsock_config, limits),
};

static const struct param vsock_set_params[] = {
	LIMITS_PARAMS(struct vsock_config, limits),
};

static const struct peer_key vsock_peer_keys[] = {
	PEER_NONE("iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	PEER_NONE("pci_segment", PEER_UINT, PEER_NO_SEGMENTS),
	{ .path = NULL },
};
/* clang-format on */

static int vsock_check(const void *config, struct error *err)
{
	const struct vsock_config *c = config;

	if (!c->socket == (c->fd < 0))
		return error_set(err, EINVAL,
				 "give either socket=PATH or fd=N");
	return 0;
}

static const struct param_set vsock_param_set = {
	.option = "vsock",
	.help = "add sockets between guest and host",
	PARAM_TABLE(vsock_params, struct vsock_config),
	.check = vsock_check,
};

static const struct param_set vsock_set_param_set = {
	.option = "vsock",
	PARAM_TABLE(vsock_set_params, struct vsock_config),
};

/* ---- packets of the guest ---- */

static void vsock_take(struct vsock *v, struct vq_chain *chain)
{
	struct virtqueue *vq = &v->dev.queues[VSOCK_TX].vq;
	struct vsock_packet *p =
		container_of(chain, struct vsock_packet, chain);
	struct iov_cursor at = iov_cursor_init(
		chain->iov, vq_chain_front(chain, chain->nr_out));
	struct vsock_header h;

	io_count(&v->counters.tx_packets, 1);
	if (iov_read(&at, &h, sizeof(h)) != sizeof(h)) {
		/* It says nothing of where it comes from. */
		io_count(&v->counters.bad_packets, 1);
		virtqueue_push(vq, chain, 0);
		return;
	}
	p->iov = chain->iov;
	p->nr = chain->nr_out;
	p->len = (uint32_t)(chain->out_len - sizeof(h));
	iov_trim_front(&p->iov, &p->nr, sizeof(h));
	vsock_conn_packet(v, p, &h);
}

/*
 * The guest got a short message, and may answer at once: not to sleep saves it a
 * kick and us a wake-up, which are most of a round trip. Where answers do not come
 * in time, the wait is half as long the next time, and in the end there is none but
 * for each VSOCK_TRY_AGAIN: what an answer takes that has to wake us says nothing.
 */
static void vsock_wait_for_answer(struct vsock *v)
{
	struct virtio_queue *q = &v->dev.queues[VSOCK_TX];
	uint64_t now, end;

	if (!v->answer_max_ns || !v->tx_on || q->held || q->resting)
		return;
	if (v->answer_ns < VSOCK_ANSWER_MIN_NS)
		v->answer_ns =
			v->nr_asked++ % VSOCK_TRY_AGAIN ? 0 : v->answer_max_ns;
	now = loop_now_ns();
	end = now + v->answer_ns;
	while (now < end && !virtqueue_has_avail(&q->vq))
		now = loop_now_ns();
	v->answer_ns = now < end ? v->answer_max_ns : v->answer_ns / 2;
}

/* Bytes behind the header. */
static uint64_t vsock_payload(const struct vq_chain *c)
{
	return c->out_len - MIN(c->out_len, sizeof(struct vsock_header));
}

static void vsock_tx_run(struct vsock *v)
{
	struct virtio_queue *q = &v->dev.queues[VSOCK_TX];
	unsigned int taken, most = q->vq.size;
	uint64_t len = 0;

	for (taken = 0; taken < most; taken++) {
		struct vq_chain *c;

		if (v->nr_strays == VSOCK_STRAYS) {
			/* The guest has to take those first. */
			virtio_queue_want(q, false);
			break;
		}
		c = virtqueue_pop(&q->vq);
		if (!c || !virtio_queue_admit(q, VIRTIO_FROM_GUEST, c,
					      vsock_payload(c)))
			break;
		len += c->out_len;
		vsock_take(v, c);
		if (taken % VSOCK_BATCH && len < VSOCK_BATCH_LEN)
			continue;
		vsock_conn_flush_dirty(v);
		virtio_queue_publish(q);
		len = 0;
	}
	vsock_conn_flush_dirty(v);
	virtio_queue_publish(q);
}

/* ---- events, section 5.10.6.7 ---- */

static void vsock_event_run(struct vsock *v)
{
	static const struct virtio_vsock_event event = {
		.id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET,
	};
	struct virtio_queue *q = &v->dev.queues[VSOCK_EVENT];
	struct vq_chain *c = NULL;
	struct iov_cursor to;
	unsigned int nr;

	if (!v->event_on)
		return;
	virtio_queue_want(q, v->reset_pending);
	if (v->reset_pending)
		c = virtqueue_pop(&q->vq);
	if (!c)
		return;
	nr = vq_chain_front(c, c->nr_out + c->nr_in);
	to = iov_cursor_init(c->iov + c->nr_out,
			     nr > c->nr_out ? nr - c->nr_out : 0);
	if (iov_write(&to, &event, sizeof(event)) == sizeof(event)) {
		v->reset_pending = false;
		virtio_queue_want(q, false);
	}
	virtqueue_push(&q->vq, c, v->reset_pending ? 0 : sizeof(event));
	virtio_queue_publish(q);
}

static void vsock_on_reset_transport(struct loop_call *lc)
{
	struct vsock *v = container_of(lc, struct vsock, reset_call);

	vsock_conn_forget(v);
	v->reset_pending = true;
	vsock_event_run(v);
}

void vsock_reset_transport(struct virtio_dev *dev)
{
	struct vsock *v = vsock_of(dev);

	loop_post(dev->queues[VSOCK_EVENT].loop, &v->reset_call);
}

/* ---- queues ---- */

static void vsock_on_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct vsock *v = vsock_of(dev);

	if (qidx == VSOCK_TX)
		vsock_tx_run(v);
	else if (qidx == VSOCK_EVENT)
		vsock_event_run(v);
	vsock_rx_run(v);
}

/* What host sockets have brought. */
static bool vsock_poll(struct virtio_dev *dev, unsigned int qidx)
{
	struct vsock *v = vsock_of(dev);
	struct virtqueue *vq = &dev->queues[qidx].vq;

	if (qidx == VSOCK_RX) {
		uint64_t before = v->counters.rx_bytes, n;

		if (!vsock_rx_run(v))
			return false;
		n = v->counters.rx_bytes - before;
		if (n && n <= VSOCK_SHORT_LEN)
			vsock_wait_for_answer(v);
		return true;
	}
	if (qidx != VSOCK_TX || vq->used_signalled == vq->used_idx)
		return false;
	virtio_queue_publish(&dev->queues[qidx]);
	return true;
}

static void vsock_events(struct virtio_dev *dev, unsigned int qidx, bool on)
{
	if (qidx == VSOCK_RX && !on)
		io_count(&vsock_of(dev)->counters.wakeups, 1);
}

static int vsock_queue_start(struct virtio_dev *dev, unsigned int qidx)
{
	struct vsock *v = vsock_of(dev);

	if (qidx == VSOCK_RX)
		v->rx_on = true;
	else if (qidx == VSOCK_TX)
		v->tx_on = true;
	else
		v->event_on = true;
	/* The others are full of buffers for what may come. */
	virtio_queue_want(&dev->queues[qidx],
			  qidx == VSOCK_TX ||
				  (qidx == VSOCK_EVENT && v->reset_pending));
	return 0;
}

/* Connections stay as they are: a pause is not the end of them. */
static void vsock_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	struct vsock *v = vsock_of(dev);

	if (qidx == VSOCK_RX) {
		v->rx_on = false;
	} else if (qidx == VSOCK_TX) {
		vsock_conn_flush_dirty(v);
		vsock_conn_return_packets(v);
		v->tx_on = false;
	} else {
		v->event_on = false;
	}
	virtio_queue_idle(&dev->queues[qidx]);
}

static void vsock_on_forget(struct loop_call *lc)
{
	struct vsock *v = container_of(lc, struct vsock, forget_call);

	vsock_conn_forget(v);
	v->reset_pending = false; /* the driver reads all anew */
}

/* Before a queue starts again, whose start is posted to the same loop. */
static void vsock_reset(struct virtio_dev *dev)
{
	loop_post(dev->queues[VSOCK_RX].loop, &vsock_of(dev)->forget_call);
}

/* ---- the listening socket: owner loop ---- */

static void vsock_on_client(struct loop_fd *lf, uint32_t events unused_param)
{
	struct vsock *v = container_of(lf, struct vsock, listener);
	unsigned int i;
	int fd = 0;

	for (i = 0; i < VSOCK_ACCEPTS && fd >= 0; i++) {
		fd = vsock_host_accept(v->host);
		if (fd >= 0)
			vsock_conn_accept(v, fd);
	}
	if (fd >= 0 || fd == -EAGAIN || fd == -ECONNABORTED || fd == -EINTR)
		return;
	if (log_is_due(&v->said_ns))
		log_warn("%s: cannot accept a client: %s", v->dev.device.id,
			 error_text(-fd));
	if (!loop_fd_change(lf, 0))
		loop_timer_set(lf->loop, &v->accept_timer,
			       loop_now_ns() + VSOCK_ACCEPT_RETRY_NS);
}

static void vsock_on_accept_retry(struct loop_timer *lt)
{
	struct vsock *v = container_of(lt, struct vsock, accept_timer);

	loop_fd_change(&v->listener, EPOLLIN);
}

static void vsock_on_listen(struct loop_call *lc)
{
	struct vsock *v = container_of(lc, struct vsock, listen_call);
	int r = loop_fd_add(v->dev.queues[VSOCK_RX].loop, &v->listener,
			    EPOLLIN);

	if (r)
		log_error("%s: no client will be accepted: %s",
			  v->dev.device.id, error_text(-r));
}

/* ---- life ---- */

static int vsock_set(struct virtio_dev *dev, const void *config,
		     struct error *err unused_param)
{
	const struct vsock_config *c = config;

	virtio_set_limits(dev, &c->limits);
	return 0;
}

static void vsock_counters(struct virtio_dev *dev, device_emit_fn emit,
			   void *arg)
{
	const struct vsock *v = vsock_of(dev);
	const struct vsock_counters *c = &v->counters;
	const struct {
		const char *name;
		const uint64_t *value;
	} all[] = {
		{ "rx_packets", &c->rx_packets },
		{ "rx_bytes", &c->rx_bytes },
		{ "tx_packets", &c->tx_packets },
		{ "tx_bytes", &c->tx_bytes },
		{ "connections", &c->connections },
		{ "host_connects", &c->host_connects },
		{ "guest_connects", &c->guest_connects },
		{ "refused", &c->refused },
		{ "resets_sent", &c->resets_sent },
		{ "resets_received", &c->resets_received },
		{ "bad_packets", &c->bad_packets },
		{ "credit_stalls", &c->credit_stalls },
		{ "host_stalls", &c->host_stalls },
		{ "no_buffers", &c->no_buffers },
		{ "copied_bytes", &c->copied_bytes },
		{ "wakeups", &c->wakeups },
		{ "rx_throttled_ns",
		  &dev->queues[VSOCK_RX].counters.throttled_ns },
		{ "tx_throttled_ns",
		  &dev->queues[VSOCK_TX].counters.throttled_ns },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		emit(arg, all[i].name,
		     __atomic_load_n(all[i].value, __ATOMIC_RELAXED));
}

static int vsock_open(const void *config, void **opened, struct error *err)
{
	const struct vsock_config *c = config;
	struct vsock_host *host = malloc(sizeof(*host));
	int r = host ? vsock_host_open(host, c->socket, c->fd, err)
		     : error_set(err, ENOMEM, "out of memory");

	if (r)
		free(host);
	else
		*opened = host;
	return r;
}

static void vsock_close(void *opened)
{
	if (opened)
		vsock_host_close(opened);
	free(opened);
}

/* The rest of it, which does not take long, has to wait for the loop's end. */
static void vsock_release(struct virtio_dev *dev)
{
	vsock_host_remove(vsock_of(dev)->host);
}

/* The loop has ended with virtio_fini(): nothing of the device is on it. */
static void vsock_destroy(struct virtio_dev *dev)
{
	struct vsock *v = vsock_of(dev);

	virtio_fini(dev);
	vsock_conn_free_all(v);
	vsock_close(v->host);
	free(v->table);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.queue_start = vsock_queue_start,
	.kick = vsock_on_kick,
	.poll = vsock_poll,
	.events = vsock_events,
	.queue_stop = vsock_queue_stop,
	.reset = vsock_reset,
	.set = vsock_set,
	.counters = vsock_counters,
	.release = vsock_release,
	.destroy = vsock_destroy,
};

static void vsock_init(struct vsock *v, const struct vsock_config *c)
{
	unsigned int i;

	v->cid = (uint32_t)c->cid;
	v->space.guest_cid = le64_of(c->cid);
	v->max_conns = (unsigned int)c->connections;
	v->answer_max_ns = c->poll_us * 1000;
	v->next_port = VSOCK_PORT_FIRST;
	v->listener.on_event = vsock_on_client;
	v->accept_timer.on_expire = vsock_on_accept_retry;
	v->wait_timer.on_expire = vsock_conn_on_timer;
	v->listen_call.fn = vsock_on_listen;
	v->forget_call.fn = vsock_on_forget;
	v->reset_call.fn = vsock_on_reset_transport;
	list_init(&v->conns);
	list_init(&v->ready);
	list_init(&v->dirty);
	list_init(&v->lenders);
	for (i = 0; i < VSOCK_WAITS; i++)
		list_init(&v->waits[i]);
}

static int vsock_build(struct vsock *v, struct board *board,
		       const struct vsock_config *c, struct error *err)
{
	const struct virtio_init init = {
		.board = board,
		.class = &vsock_class,
		.name = c->id,
		.ops = &vsock_ops,
		.id = VIRTIO_ID_VSOCK,
		.features = VIRTIO_F(VSOCK_F_STREAM),
		.nr_queues = VSOCK_QUEUES,
		.queue_size = VSOCK_QUEUE_SIZE,
		.iov_max = VSOCK_IOV_MAX,
		.chain_size = sizeof(struct vsock_packet),
		.group_size = VSOCK_QUEUES,
		.own_loops = true,
		.config = &v->space,
		.config_len = sizeof(v->space),
	};
	unsigned int i, nr = 1;
	int r;

	vsock_init(v, c);
	while (nr < c->connections)
		nr *= 2;
	v->table = malloc(nr * sizeof(*v->table));
	v->table_mask = nr - 1;
	for (i = 0; v->table && i < nr; i++)
		list_init(&v->table[i]);
	r = virtio_init(&v->dev, &init, err);
	if (!r && !v->table)
		r = error_set(err, ENOMEM, "out of memory");
	if (r)
		return r;
	virtio_set_limits(&v->dev, &c->limits);
	return vpci_attach(&v->dev, VSOCK_PCI_CLASS, err);
}

static int vsock_create(struct board *board, const void *config, void *opened,
			struct device **out, struct error *err)
{
	struct vsock *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return error_set(err, ENOMEM, "out of memory");
	r = vsock_build(v, board, config, err);
	if (!r)
		r = virtio_loops_start(&v->dev, err); /* clients come first */
	if (r) {
		vsock_destroy(&v->dev);
		return r;
	}
	v->host = opened;
	v->listener.fd = v->host->listener.fd;
	loop_post(v->dev.queues[VSOCK_RX].loop, &v->listen_call);
	*out = &v->dev.device;
	return 0;
}

/* Streams are read and written by the messages; the others are for accepting, and
 * what is checked. The opener connects. */
static const struct syscall_rule vsock_syscalls[] = {
	MAY("accept4", ON_OWN),
	MAY("close", ON_OWN | ON_POOL),
	MAY("fcntl", ON_POOL, IF_ARG(1, F_DUPFD_CLOEXEC)),
	MAY("recvmsg", ON_OWN),
	MAY("sendmsg", ON_OWN),
	MAY("shutdown", ON_OWN),
	/* Not seen: payload in a window, where pages may be missing. */
	MAY("getpid", ON_OWN),
	MAY("process_vm_readv", ON_OWN),
	{ .name = "" },
};

/* The socket is made there, and removed in the end. */
static void vsock_places(const void *config, device_place_fn fn, void *arg)
{
	const struct vsock_config *c = config;

	fn(arg, c->socket, OPENER_READ | OPENER_WRITE | OPENER_BESIDE);
}

const struct device_class vsock_class = {
	.name = "vsock",
	.option = "vsock",
	.json_list = "vsock",
	.single = true,
	.params = &vsock_param_set,
	.set_params = &vsock_set_param_set,
	.places = vsock_places,
	.peer_keys = vsock_peer_keys,
	.syscalls = vsock_syscalls,
	.open = vsock_open,
	.close = vsock_close,
	.create = vsock_create,
};
